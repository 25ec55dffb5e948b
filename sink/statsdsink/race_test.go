//go:build race

package statsdsink_test

func init() { raced = true }
