// Package writer measures what clients see of a change of primaries: it writes without pause, to every server at once, and
// knows of each row whether it was acknowledged, by whom and when. What was acknowledged and is not there afterwards is lost;
// the longest time between two acknowledgements is the gap.
//
// It promises that a row counts as acknowledged only if the server said so without a doubt: a commit whose wait for standbys was
// cancelled does not. It does not promise a load: it rests between two rows, so that a small machine is left to what is measured.
package writer
