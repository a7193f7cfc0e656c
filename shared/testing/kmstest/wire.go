package kmstest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
)

// ServeHTTP serves GetPublicKey and Sign over AWS JSON 1.1, as functions that are built call them.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var output any
	var err error
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "GetPublicKey":
		output, err = serve(r, k.GetPublicKey)
	case "Sign":
		output, err = serve(r, k.Sign)
	default:
		err = &smithy.GenericAPIError{Code: "UnknownOperationException", Message: operation}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		var status int
		status, output = wireError(err)
		w.WriteHeader(status)
	}
	json.NewEncoder(w).Encode(output) // a client that has gone gets no response
}

// serve calls an operation. The members of its input have the names that they have on the wire.
func serve[Input, Output, Option any](
	r *http.Request, do func(context.Context, *Input, ...Option) (*Output, error),
) (*Output, error) {
	in := new(Input)
	if err := json.NewDecoder(r.Body).Decode(in); err != nil {
		return nil, &smithy.GenericAPIError{Code: "SerializationException", Message: err.Error()}
	}
	return do(r.Context(), in)
}

// wireError returns a response. The status is 400 for all that is the caller's fault, throttling too.
func wireError(err error) (status int, output map[string]string) {
	const internal = "KMSInternalException"
	var coded smithy.APIError
	if !errors.As(err, &coded) {
		coded = &smithy.GenericAPIError{Code: internal, Message: err.Error()}
	}
	if status = http.StatusBadRequest; coded.ErrorCode() == internal {
		status = http.StatusInternalServerError
	}
	return status, map[string]string{"__type": coded.ErrorCode(), "message": coded.ErrorMessage()}
}
