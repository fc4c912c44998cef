--- The version of Moontide: the Makefile reads it here, and wire/ffi.lua refuses a library of another one.
return "0.1.0"
