package grpcguard

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"rescind.dev/guard"
	"rescind.dev/guard/internal/feedtest"
)

type request = grpc_health_v1.HealthCheckRequest

// description has one call of each sort; the second one waits for the client.
func description(entered chan<- struct{}) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "orders", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Get",
			Handler: func(_ any, ctx context.Context, decode func(any) error, by grpc.UnaryServerInterceptor) (any, error) {
				in := &request{}
				if err := decode(in); err != nil {
					return nil, err
				}
				return by(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/orders/Get"},
					func(context.Context, any) (any, error) { return in, nil })
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName: "Watch", ClientStreams: true, ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				entered <- struct{}{}
				return stream.RecvMsg(&request{}) // it never comes
			},
		}},
	}
}

func bearer(ctx context.Context, _ string) *guard.Presented {
	told, _ := metadata.FromIncomingContext(ctx)
	values := told.Get("token")
	if len(values) == 0 {
		return nil
	}
	presented := guard.Present("jwt.jti:" + values[0])
	return &presented
}

func serve(t *testing.T, f *feedtest.Feed, entered chan<- struct{}) *grpc.ClientConn {
	t.Helper()
	g, err := guard.New(guard.Config{
		URL: f.URL(), Credential: "secret", Name: "orders", LiveSessions: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	within, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := g.Ready(within); err != nil {
		t.Fatal(err)
	}
	by := New(g, bearer, nil)
	server := grpc.NewServer(grpc.UnaryInterceptor(by.Unary), grpc.StreamInterceptor(by.Stream))
	server.RegisterService(description(entered), nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func with(t *testing.T, token string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "token", token)
}

func TestCallsAreServedOrRefused(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:good"), feedtest.Node("jwt.jti:dead"), feedtest.Revocation("jwt.jti:dead"))
	conn := serve(t, f, nil)
	for token, want := range map[string]struct {
		code   codes.Code
		reason string
	}{
		"good": {codes.OK, ""}, "dead": {codes.Unauthenticated, "revoked"},
		"": {codes.Unauthenticated, "no_credential"},
	} {
		err := conn.Invoke(with(t, token), "/orders/Get", &request{}, &request{})
		if got := status.Convert(err); got.Code() != want.code || got.Message() != want.reason {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestAStreamEndsWithItsCredential(t *testing.T) {
	entered := make(chan struct{}, 1)
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	conn := serve(t, f, entered)
	open := func() grpc.ClientStream {
		stream, err := conn.NewStream(with(t, "c"), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/orders/Watch")
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	stream := open()
	<-entered
	f.Append(feedtest.Revocation("jwt.jti:c"))
	if got := status.Convert(stream.RecvMsg(&request{})); got.Code() != codes.Unauthenticated || got.Message() != "revoked" {
		t.Fatal(got)
	}
	if got := status.Convert(open().RecvMsg(&request{})); got.Message() != "revoked" {
		t.Fatal(got)
	}
}

// dying is a stream whose credential dies while a message comes.
type dying struct {
	grpc.ServerStream
	dies func()
}

func (d dying) RecvMsg(any) error { d.dies(); return nil }

func TestAMessageThatCameAfterTheDenialIsNotHandedOver(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stream := watchedStream{dying{dies: func() {
		cancel(&guard.DeniedError{Verdict: guard.Verdict{Reason: guard.Revoked}})
	}}, ctx}
	if got := status.Convert(stream.RecvMsg(nil)); got.Code() != codes.Unauthenticated {
		t.Fatal(got)
	}
}
