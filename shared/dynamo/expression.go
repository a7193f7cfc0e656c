package dynamo

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"openlicenser/shared/attribute"
)

// expressions are those of an UpdateItem or a DeleteItem request
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html).
// An attribute x is written as #x, because many names are reserved words. Its new value is :x, and the expected one
// :was_x.
type expressions struct {
	update, condition string
	names             map[string]string
	values            item
}

// updateExpressions returns, for set {version: 2}, remove [changereason] and expected {version: 1, notes: nil}:
//
//	SET #version = :version REMOVE #changereason
//	attribute_exists(#licenseid) AND (attribute_not_exists(#notes) OR attribute_type(#notes, :NULL))
//	  AND #version = :was_version
func updateExpressions(set attribute.Map, remove []string, expected attribute.Map) (expressions, error) {
	e := expressions{names: map[string]string{}, values: item{}}
	var err error
	if e.update, err = e.changes(set, remove); err != nil {
		return expressions{}, err
	}
	e.condition, err = e.expectation(expected)
	return e, err
}

func (e expressions) changes(set attribute.Map, remove []string) (string, error) {
	var sets, removes []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value, err := e.value("", name, set[name])
		if err != nil {
			return "", err
		}
		sets = append(sets, e.name(name)+" = "+value)
	}
	for _, name := range slices.Sorted(slices.Values(remove)) {
		removes = append(removes, e.name(name))
	}
	var clauses []string // none of them empty, which DynamoDB refuses
	if len(sets) > 0 {
		clauses = append(clauses, "SET "+strings.Join(sets, ", "))
	}
	if len(removes) > 0 {
		clauses = append(clauses, "REMOVE "+strings.Join(removes, ", "))
	}
	return strings.Join(clauses, " "), nil
}

func (e expressions) expectation(expected attribute.Map) (string, error) {
	conditions, err := e.conditions(expected)
	exists := "attribute_exists(" + e.name(attrLicenseID) + ")"
	return strings.Join(append([]string{exists}, conditions...), " AND "), err
}

// conditions returns one condition for each expected attribute.
func (e expressions) conditions(expected attribute.Map) (conditions []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		condition, err := e.equals(e.name(name), name, expected[name])
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, condition)
	}
	return conditions, nil
}

// equals returns the condition that an attribute has the expected value. Where nil is expected, the attribute is absent
// or NULL, as license.License.Expectation means it.
func (e expressions) equals(attr, name string, expected any) (string, error) {
	if expected == nil {
		e.values[":NULL"] = text("NULL")
		return "(attribute_not_exists(" + attr + ") OR attribute_type(" + attr + ", :NULL))", nil
	}
	value, err := e.value("was_", name, expected)
	return attr + " = " + value, err
}

// name returns the placeholder of an attribute. The names that other tools give are not all fit for one.
func (e expressions) name(name string) string {
	placeholder := "#" + name
	if !isPlainName(name) {
		placeholder = "#N" + strconv.Itoa(len(e.names)) // which no plain name has
	}
	e.names[placeholder] = name
	return placeholder
}

// isPlainName matches the names of all attributes that the domain knows.
var isPlainName = regexp.MustCompile(`^[a-z][a-z0-9]{0,63}$`).MatchString

// value returns the placeholder of an attribute's value, with a prefix that says which one.
func (e expressions) value(prefix, name string, value any) (string, error) {
	v, err := encoder.Value(value)
	placeholder := ":" + prefix + name
	if !isPlainName(name) {
		placeholder = ":V" + strconv.Itoa(len(e.values))
	}
	e.values[placeholder] = v
	return placeholder, err
}
