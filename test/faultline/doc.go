// Package faultline is a small TCP proxy that breaks what passes through it: one way or both, at once or late.
//
// It promises that bytes which it swallows never arrive and that bytes which it delays hold up nothing but themselves. It
// does not break single packets: what it passes on is whole and in order.
package faultline
