package guard

import "golang.org/x/sys/unix"

// boottime is a clock that nobody sets and that runs while the machine sleeps (ns).
func boottime() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return now.Nano()
}
