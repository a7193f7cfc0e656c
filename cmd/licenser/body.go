package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// bodies reads the bodies of the requests to one function, and bounds the memory of all of them. Each function has its
// own, so that requests of products leave memory for those of the vendor.
type bodies struct {
	limit int          // bytes that the function reads of a body
	free  atomic.Int64 // bytes that may still be taken
}

const (
	smallBody = 16 << 10 // bytes that each request may always take
	allBodies = 16 << 20 // bytes that all longer bodies may take together
)

func newBodies(limit int) *bodies {
	b := &bodies{limit: limit}
	b.free.Store(allBodies)
	return b
}

// The errors of read.
var (
	errBodyOverPayload = errors.New("the body is longer than maxPayload")
	errBodiesTaken     = errors.New("other bodies take all memory that there is for them")
)

// read returns the body, or limit+1 bytes of a longer one. The function refuses these as it would refuse the whole
// body, which it gets on AWS. Done frees the memory once the function does not hold the body any more.
func (b *bodies) read(body io.Reader, length int64) (read string, done func(), err error) {
	wanted := int64(b.limit) + 1
	done = func() {}
	var text bytes.Buffer
	text.Grow(int(min(max(length, 0), smallBody, wanted)) + bytes.MinRead)
	if _, err := text.ReadFrom(io.LimitReader(body, min(wanted, smallBody))); err != nil {
		return "", nil, err
	}
	if text.Len() == smallBody && wanted > smallBody {
		if b.free.Add(-wanted) < 0 {
			b.free.Add(wanted)
			return "", nil, errBodiesTaken
		}
		done = func() { b.free.Add(wanted) }
		text.Grow(int(min(max(length, 0), wanted)))
		if _, err := text.ReadFrom(io.LimitReader(body, wanted-smallBody)); err != nil {
			done()
			return "", nil, err
		}
	}
	if int64(text.Len()) == wanted {
		rest := maxPayload - wanted
		skipped, err := io.Copy(io.Discard, io.LimitReader(body, rest+1))
		if err == nil && skipped > rest {
			err = errBodyOverPayload
		}
		if err != nil {
			done()
			return "", nil, err
		}
	}
	return text.String(), done, nil
}

// refuseBody responds to a request whose body could not be read.
func refuseBody(w http.ResponseWriter, err error) {
	w.Header().Set("Connection", "close") // instead of waiting for the rest of the body
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		panic(http.ErrAbortHandler) // a slow network is no bad request; without a response, products go on
	case errors.Is(err, errBodiesTaken):
		w.Header().Set("Retry-After", "1") // bodies free their memory within moments
		serverBusy.write(w)
	case errors.Is(err, errBodyOverPayload):
		requestTooLarge.write(w)
	default:
		badRequest.write(w)
	}
}

var serverBusy = gatewayResponse{http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"}
