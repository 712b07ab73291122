// Package sink is where alerts leave the machine: a webhook, a command, Alertmanager, PagerDuty, Opsgenie, Teams, and by a
// notification library Slack, e-mail and others.
//
// Each sink keeps to alert.Sink: Deliver ends soon after its context, whatever the receiver does. (A call of the
// notification library knows no context: it may go on for half a minute behind Deliver's back, one at a time for each sink.)
// HTTP connections are not kept, since alerts are rare and an idle sidecar holds nothing for them. Secrets are read at each
// delivery, so that they can be changed without a restart, and no error carries a URL's path or query, which often are one.
//
// PagerDuty and Opsgenie are spoken to directly, since the library opens incidents under a key and cannot close them by it, and
// so is Teams, whose connectors that the library posts to are no more. Alertmanager is too: its own models bring go-openapi
// along, two megabytes of program and as much of memory in a sidecar that may never send an alert.
package sink
