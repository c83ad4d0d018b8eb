module rescind.dev/guard

go 1.25
