package api

// QueryParameters returns the query's parameters. Of a repeated one it returns the last value.
func (r Request) QueryParameters() map[string]string {
	values, _ := r.QueryValues()
	last := make(map[string]string, len(values))
	for name, all := range values {
		last[name] = all[len(all)-1]
	}
	return last
}
