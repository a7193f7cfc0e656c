package verification

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of a key as PEM: the one that it has unless asked for another, and the one that generated clients can read.
const (
	pemFile   = "application/x-pem-file"
	plainText = "text/plain"
)

// pemType returns the media type that a header Accept (RFC 9110 section 12.5.1) asks for. It is text where text is named and
// wanted no less than a PEM file. It is text too where the header has no place for a PEM file: many generated clients ask for
// application/json alone, the type of the route's errors, and would refuse the file.
func pemType(accept string) string {
	accepted := acceptedTypes(accept)
	text := weight(accepted, plainText, "text/*")
	file := weight(accepted, pemFile, "application/*", "*/*")
	if len(accepted) > 0 && text >= file {
		return plainText
	}
	return pemFile
}

// acceptedTypes returns the weights from 0 to 1 of the media ranges in a header Accept. It leaves out what is no media range.
func acceptedTypes(accept string) map[string]float64 {
	accepted := map[string]float64{}
	for mediaRange := range strings.SplitSeq(accept, ",") {
		name, parameters, err := mime.ParseMediaType(mediaRange)
		if err != nil {
			continue
		}
		accepted[name] = 1
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil && q >= 0 && q <= 1 {
			accepted[name] = q
		}
	}
	return accepted
}

// weight returns the weight of the first of the names that is accepted, or 0.
func weight(accepted map[string]float64, names ...string) float64 {
	for _, name := range names {
		if w, named := accepted[name]; named {
			return w
		}
	}
	return 0
}
