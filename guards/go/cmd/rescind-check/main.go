// The program rescind-check tries a guard: an identifier a line in, a verdict a line out.
// It takes the server from RESCIND_URL and the guard's token from RESCIND_TOKEN.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"

	"rescind.dev/guard"
)

func main() {
	name := os.Getenv("RESCIND_GUARD")
	if name == "" {
		name = "rescind-check"
	}
	g, err := guard.New(guard.Config{
		URL: os.Getenv("RESCIND_URL"), Credential: os.Getenv("RESCIND_TOKEN"), Name: name,
		Mode: guard.Mode(os.Getenv("RESCIND_MODE")),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Run(ctx) // it ends with the context alone
	}()
	answer(g)
	stop()
	<-done
}

// answer writes a verdict for each line until the input ends.
func answer(g *guard.Guard) {
	input, output := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for input.Scan() {
		verdict := g.Check(guard.Present(input.Text()), guard.Options{})
		err := output.Encode(map[string]any{
			"allowed": verdict.Allowed, "reason": verdict.Reason, "path": verdict.Path,
		})
		if err != nil {
			return
		}
	}
}
