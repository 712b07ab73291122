// Package alert brings the cluster's events to people.
//
// The events in etcd are the outbox: each was written in the same transaction as what it tells of, so nothing happens that
// is not in it, and it survives the death of any node. A Notifier runs beside every sidecar, and that of the leader delivers:
// to each sink the events after that sink's Cursor, in the order of the revisions with which they were written, and moves the
// cursor (by compare-and-swap) once the sink has taken one. A new leader goes on from there.
//
//	events/<term>-<seq>  ──►  Of (pure)  ──►  Route  ──►  Sink.Deliver  ──►  alerts/<sink>
//
// # Promises
//
//   - At least once, in order, per sink: an event is behind the cursor only when the sink has taken it, was not to have it
//     (Route), or has refused it for good. A leader that dies between the two has its last delivery repeated by the next:
//     Alert.ID names the event, whoever sends it, and Alert.Key the incident, so that a receiver knows both again.
//   - The end of what a sink was told is told it, however long ago it began: the cursor holds what is open.
//   - A sink that fails is tried again, after a second at first and two minutes at most, and holds no other sink back.
//   - The queue is bounded: the newest thousand events stand in etcd. Where one is removed before a sink had it, that is an
//     event of its own (EventUndelivered, critical): at once, for the other sinks, and again when the sink is back.
//   - A refusal (ErrRefused) is passed over after ten attempts, with an event of the same kind, so that it does not hold back
//     what comes after it. A refusal of that one is not told of.
//   - A sink without a cursor is new and begins at the present; but where etcd had lost everything and the record was just
//     written again, it begins with that.
//   - Nothing of the sidecar waits for any of this. Run's goroutines are its own, every call in them is bounded, and Run
//     returns when all have ended. A member that does not lead reads nothing and sends nothing.
//
// # What it does not promise
//
//   - Exactly once: see above.
//   - That an alert comes while etcd has lost its quorum, or while there is no leader. It comes when they are back.
//   - That a sink which only some members have configured gets everything: the leader delivers to the sinks of its own
//     configuration, so all members should have the same.
//
// The package judges and orders; how an alert leaves is package sink.
package alert
