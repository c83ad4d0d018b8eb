// The program rescind-check tries a guard: an identifier a line in, a verdict a line out.
// It takes the server from RESCIND_URL and the guard's token from RESCIND_TOKEN, or the
// table of the host's agent from RESCIND_TABLE.
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
	mode := guard.Mode(os.Getenv("RESCIND_MODE"))
	if path := os.Getenv("RESCIND_TABLE"); path != "" {
		g, err := guard.NewShared(guard.SharedConfig{Path: path, Mode: mode})
		if err != nil {
			log.Fatal(err)
		}
		answer(g)
		return
	}
	name := os.Getenv("RESCIND_GUARD")
	if name == "" {
		name = "rescind-check"
	}
	g, err := guard.New(guard.Config{
		URL: os.Getenv("RESCIND_URL"), Credential: os.Getenv("RESCIND_TOKEN"), Name: name,
		Mode: mode,
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

// checker is a guard of either kind.
type checker interface {
	Check(presented guard.Presented, options guard.Options) guard.Verdict
}

// answer writes a verdict for each line until the input ends.
func answer(g checker) {
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
