module rescind.dev/guard/grpcguard

go 1.25.0

require (
	google.golang.org/grpc v1.79.3
	rescind.dev/guard v0.0.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	golang.org/x/net v0.48.0 // indirect
	golang.org/x/sys v0.43.0 // indirect
	golang.org/x/text v0.32.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20251202230838-ff82c1b0f217 // indirect
	google.golang.org/protobuf v1.36.10 // indirect
)

replace rescind.dev/guard => ../
