;; Copies from one guest's RAM to another's, at memcpy speed: both memories are shared. Addresses and
;; lengths are bytes, and were checked: a touch beyond either memory traps.
(module
  (import "guestmem" "to" (memory $to 1 65536 shared))
  (import "guestmem" "from" (memory $from 1 65536 shared))
  (func (export "copy") (param $at i32) (param $begin i32) (param $length i32)
    (memory.copy $to $from (local.get $at) (local.get $begin) (local.get $length))))
