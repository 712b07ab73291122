// Package layout holds the rules of DESIGN.md §2 about where things stand and who may import whom. Its test is the rule.
package layout
