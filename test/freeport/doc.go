// Package freeport gives out TCP ports for servers that are started a moment later.
//
// It promises that no two calls on this machine, whatever process makes them, get the same port while both processes live,
// and that no outgoing connection has it: it keeps below the range from which the kernel takes those. It does not promise that
// a program that never asked here will not take one.
package freeport
