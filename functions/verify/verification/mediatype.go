package verification

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of a key as PEM.
const (
	pemFile   = "application/x-pem-file" // unless the request asks for another
	plainText = "text/plain"             // generated clients can read it
)

// pemType returns the media type of a PEM file for a header Accept (RFC 9110 section 12.5.1). It is text where the
// header wants text no less than a PEM file. That includes a header that accepts neither: many generated clients accept
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

// acceptedTypes returns the media ranges of a header Accept with their weights, from 0 to 1. It skips what is no media
// range.
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

// weight returns the weight of the first name that is accepted, or 0.
func weight(accepted map[string]float64, names ...string) float64 {
	for _, name := range names {
		if w, named := accepted[name]; named {
			return w
		}
	}
	return 0
}
