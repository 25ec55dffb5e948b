//go:build !(amd64 || arm64) || race || purego

package owner

// A Gate is one that several writers may pass at a time: Pin keeps nobody else away in this build.
type Gate = SharedGate
