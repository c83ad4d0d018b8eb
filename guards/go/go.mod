module rescind.dev/guard

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	golang.org/x/sys v0.43.0
)
