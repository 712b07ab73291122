package watchdog

// Candidate is a member as a choice weighs it.
type Candidate struct {
	Name     string   `json:"name"`
	Owner    Term     `json:"owner"` // the term that owns its timeline by the ledger
	Timeline Timeline `json:"timeline"`
	End      LSN      `json:"end"`
	Vetoes   []Veto   `json:"vetoes,omitempty"`
	Priority int      `json:"priority,omitempty"`
	// SameSite: its site is the one that the policy prefers.
	SameSite bool `json:"same_site,omitempty"`
	// Cascade: it streams from another standby.
	Cascade bool `json:"cascade,omitempty"`
}
