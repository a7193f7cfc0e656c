package vendorapi

import "openlicenser/shared/audit"

// AuditPage is a page of a license's chain in the audit trail. The last page tells where the chain ends, and which
// record it should end with.
type AuditPage struct {
	Entries    []audit.Entry `json:"entries"`
	Cursor     string        `json:"cursor,omitempty"` // leads to the next page; empty at the end
	Head       *ChainHead    `json:"head,omitempty"`
	RecordHash string        `json:"recordhash,omitempty"` // of the license's record as it stands
	Foreign    bool          `json:"foreign,omitempty"`    // other tools alone have written the record
	LeftBy     int64         `json:"leftby,omitempty"`     // the entry that has left it so, where it is not the last
}

// ChainHead is the end of a chain. It is zero where there is no chain.
type ChainHead struct {
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
}
