package contender

// A Loop performs one operation for each element of order. It is called concurrently, with different workers. It is
// what is measured.
type Loop func(worker int, order []uint32)

// each is the loop of a [Loop]. The compiler puts it, and do, into the place of the call, so that an adapter costs as
// much as a loop written out. It does not do so inside a function that it puts into another's place itself: where one
// of those makes a Loop it says go:noinline. A test looks at the compiled program.
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

// must is for what cannot fail here, because names and options are valid.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}
