// Package grpcguard lets a guard decide about the calls of a gRPC server.
//
// It is a module of its own, so that services without gRPC do not depend on it. A denial
// is UNAUTHENTICATED where a web server answers 401, and PERMISSION_DENIED otherwise, with
// the reason as its text.
package grpcguard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rescind.dev/guard"
)

// Presents reads what a call presents, after it verified the signature
// (metadata.FromIncomingContext). nil: there is no credential.
type Presents func(ctx context.Context, method string) *guard.Presented

// Asks gives the options of the check of a call.
type Asks func(ctx context.Context, method string) guard.Options

// Interceptor checks each call, and ends calls that stream when their credential dies.
type Interceptor struct {
	guard    *guard.Guard
	presents Presents
	asks     Asks
}

// For a handler to end by itself: the shorter one.
const (
	grace    = 250 * time.Millisecond
	perLease = 16
)

// New makes an interceptor; asks may be nil. The guard needs LiveSessions.
func New(of *guard.Guard, presents Presents, asks Asks) *Interceptor {
	if asks == nil {
		asks = func(context.Context, string) guard.Options { return guard.Options{} }
	}
	return &Interceptor{of, presents, asks}
}

// Unary is checked once.
func (i *Interceptor) Unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	if _, _, err := i.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// Stream is checked, and ended when its credential dies: its context is cancelled, with a
// *guard.DeniedError as the cause, and a handler that does not mind that is left behind.
func (i *Interceptor) Stream(
	server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	presented, options, err := i.check(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, over, err := i.guard.Watch(stream.Context(), *presented, options)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	defer over()
	type end struct {
		err   error
		panic any
	}
	ended := make(chan end, 1)
	go func() {
		var of end
		returned := false
		defer func() {
			if !returned {
				of.panic = recover()
			}
			ended <- of
		}()
		of.err = handler(server, &watchedStream{stream, ctx})
		returned = true
	}()
	var of end
	select {
	case of = <-ended:
	case <-ctx.Done():
		select {
		case of = <-ended:
		case <-time.After(min(grace, i.guard.Lease()/perLease)):
		}
	}
	if of.panic != nil {
		panic(of.panic) // in the goroutine whose interceptors may recover it
	}
	if err := denied(ctx); err != nil {
		return err
	}
	if of.err == nil && ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return of.err
}

func (i *Interceptor) check(ctx context.Context, method string) (*guard.Presented, guard.Options, error) {
	presented := i.presents(ctx, method)
	if presented == nil {
		return nil, guard.Options{}, status.Error(codes.Unauthenticated, "no_credential")
	}
	options := i.asks(ctx, method)
	if verdict := i.guard.Check(*presented, options); !verdict.Allowed {
		return nil, options, refusal(verdict.Reason)
	}
	return presented, options, nil
}

func refusal(reason guard.Reason) error {
	code := codes.Unauthenticated
	if guard.Status(reason) == http.StatusForbidden {
		code = codes.PermissionDenied
	}
	return status.Error(code, string(reason))
}

// denied is the refusal of a context that a guard has cancelled.
func denied(ctx context.Context) error {
	var by *guard.DeniedError
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &by) {
		return refusal(by.Verdict.Reason)
	}
	return nil
}

// watchedStream carries nothing once its credential is dead.
type watchedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *watchedStream) Context() context.Context { return s.ctx }

func (s *watchedStream) SendMsg(message any) error {
	if err := denied(s.ctx); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(message)
}

func (s *watchedStream) RecvMsg(message any) error {
	if err := denied(s.ctx); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	return denied(s.ctx) // it may have come while the credential died
}
