// Package attribute holds the attributes of a stored item in the types that DynamoDB knows. With it the domain reads
// whatever other tools wrote, and each adapter means the same by a value. The package knows neither the AWS SDK nor
// Lambda's events: their adapters convert with an Encoder, DecodeMap and DecodeList.
//
// A value is one of these Go types
// (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html):
//
//	S    string        SS  StringSet
//	N    Number        NS  NumberSet
//	B    []byte        BS  BinarySet
//	BOOL bool          L   []any
//	NULL nil           M   Map
package attribute

// Map holds values by attribute name. Its JSON form is DynamoDB JSON: {"notes":{"S":"…"},"version":{"N":"1"}}.
type Map map[string]any

// Number is the decimal text of an N. It stays a text because DynamoDB's 38 digits fit no Go number.
type Number string

// StringSet, NumberSet and BinarySet keep the order in which they were read. A NumberSet holds decimal texts.
type (
	StringSet []string
	NumberSet []string
	BinarySet [][]byte
)

// TypeOf returns DynamoDB's name of a value's type, as S or BOOL. It returns "" for a value that no attribute holds.
func TypeOf(value any) string {
	encoded, _ := dynamoJSON.Value(value)
	for name := range encoded {
		return name
	}
	return ""
}
