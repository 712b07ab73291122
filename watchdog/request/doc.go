// Package request carries an operator's request into the cluster's record: the one way for the command line that reaches etcd
// and for a member's API.
//
// It writes nothing but what watchdog.Request.Change makes of a request, on a fresh read, compared with that read's revisions. A
// record that has changed in between only has it read and judged again. An error says whether the request was refused
// (ErrRefused, for people), never sent (ErrUnread), or may have been made (any other).
package request
