// Package promises tests the promises to users, through the public API alone: a file for each subject.
package promises
