// Package version holds the version of this source.
package version

// Number is the version by Semantic Versioning. Between two releases it is that of the next one, with the suffix -dev.
const Number = "1.0.0-dev"
