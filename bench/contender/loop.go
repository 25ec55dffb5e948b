package contender

// A Loop performs one operation for each element of order. It is called concurrently, with different workers. Workloads
// measure it.
type Loop func(worker int, order []uint32)

// each is the loop of a [Loop]. The compiler inlines it and do, so an adapter costs as much as a loop written out. It
// does not inline them inside a function that is itself inlined: such a function says go:noinline if it makes a Loop. A
// test looks at the compiled program.
func each(order []uint32, do func(i uint32)) {
	for _, i := range order {
		do(i)
	}
}

// handles returns a handle for each name.
func handles[H any](names []string, handle func(name string) H) []H {
	handles := make([]H, len(names))
	for i, name := range names {
		handles[i] = handle(name)
	}
	return handles
}

// must is for calls that cannot fail here, because names and options are valid.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}
