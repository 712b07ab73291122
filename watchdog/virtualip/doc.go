// Package virtualip puts the addresses under which clients find the primary on the host whose server is it, and nowhere else.
//
// What it promises:
//
//   - An address is up only while this member's server accepts writes under unexpired trust, as /primary answers 200. It is
//     taken down when a fence begins, when the server is gone or a standby, and a little before the trust ends.
//   - At the start of the sidecar an address is taken down that is not deserved, also one that is not configured any more; one
//     that is deserved stays up. The end of a sidecar leaves it up: the guard takes it down if it fences (package guard).
//   - It is announced at once (gratuitous ARP, unsolicited neighbour advertisement), five times in the first second, and each
//     minute after.
//   - It goes through netlink, and holds up neither the loop nor a fence.
//
// What it does not promise: that no two hosts have an address while a host is paused as a whole, or that a switch believes an
// announcement. Sessions that are open through an address end with it, by the client's own timeout where the host is lost.
package virtualip
