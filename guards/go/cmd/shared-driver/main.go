// The program shared-driver lets a test ask the guard that reads shared tables.
package main

import (
	"log"
	"os"

	"rescind.dev/guard"
)

func main() {
	if err := guard.DriveShared(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
