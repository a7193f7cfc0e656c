package dynamo

// EncodeValue converts an attribute to the SDK's value.
var EncodeValue = encoder.Value
