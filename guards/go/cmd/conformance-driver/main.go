// The program conformance-driver is this guard as a guard under test of the conformance
// kit (docs/writing-a-guard.md).
package main

import (
	"log"
	"os"

	"rescind.dev/guard"
)

func main() {
	if err := guard.Drive(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
