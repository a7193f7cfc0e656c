// Package version says which release this source is of.
package version

// Number is the version by Semantic Versioning. Between two releases it is that of the next one, with the suffix -dev.
const Number = "1.0.0-dev"
