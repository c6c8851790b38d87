;; The inner loops of both ring ends. One call writes, publishes or drains many packets.
;;
;; `private` holds the state of ring ends, staging, arenas and page tables; the peer cannot reach
;; it. `shared` is the memory both ends share: all that is read from it may change at any moment, so
;; each word is read once, and decisions are made on the copy.
;;
;; `@NAME` stands for the constant NAME of state-layout.ts or ring-fault.ts. $s is always the
;; private address of an end's state. Memory 1 is `shared`: the assembler knows no names in atomic
;; instructions.
;;
;; Written by       in: the sender     out, mask: the receiver     pending, features: the sender
;; Every atomic access is sequentially consistent; WebAssembly has nothing weaker.
(module
  (import "ring" "private" (memory $private 1))
  (import "ring" "shared" (memory $shared 1 65536 shared))

  ;; ---- both ends ----

  ;; Bytes from $from forward to $to, in an area of $size.
  (func $distance (param $from i32) (param $to i32) (param $size i32) (result i32)
    (local $d i32)
    (i32.add
      (local.tee $d (i32.sub (local.get $to) (local.get $from)))
      (i32.and (local.get $size) (i32.shr_s (local.get $d) (i32.const 31)))))

  (func $least (param $a i32) (param $b i32) (result i32)
    (select (local.get $a) (local.get $b) (i32.lt_u (local.get $a) (local.get $b))))

  ;; A ring offset that may have gone past the end, once.
  (func $wrapped (param $s i32) (param $offset i32) (result i32)
    (local $size i32)
    (local.set $size (i32.load $private offset=@SIZE (local.get $s)))
    (i32.sub (local.get $offset)
      (select (local.get $size) (i32.const 0) (i32.ge_u (local.get $offset) (local.get $size)))))

  ;; Remembers the run of pages that holds $offset.
  (func $find_run (param $s i32) (param $offset i32)
    (i64.store $private offset=@RUN_DELTA (local.get $s)
      (i64.load $private
        (i32.add
          (i32.load $private offset=@PAGES_AT (local.get $s))
          (i32.shl (i32.shr_u (local.get $offset) (i32.const 12)) (i32.const 3))))))

  (func $count (param $s i32) (param $amount i32)
    (i64.store $private (local.get $s)
      (i64.add (i64.load $private (local.get $s)) (i64.extend_i32_u (local.get $amount)))))

  ;; Counts packets, and the ring bytes they take.
  (func $count_moved (param $s i32) (param $packets i32) (param $bytes i32)
    (call $count (i32.add (local.get $s) (i32.const @PACKETS)) (local.get $packets))
    (call $count (i32.add (local.get $s) (i32.const @BYTES)) (local.get $bytes)))

  ;; Spins until the shared word at $at is not $value, $turns times at most. 1 when it changed.
  (func (export "spin") (param $at i32) (param $value i32) (param $turns i32) (result i32)
    (loop $again
      (if (i32.ne (i32.atomic.load 1 (local.get $at)) (local.get $value))
        (then (return (i32.const 1))))
      (br_if $again
        (i32.gt_s (local.tee $turns (i32.sub (local.get $turns) (i32.const 1))) (i32.const 0))))
    (i32.const 0))

  ;; ---- outgoing end ----

  ;; Reads and validates `out`. It only moves forward, and never past what was published. 0 = fault.
  (func $read_out (param $s i32) (result i32)
    (local $out i32) (local $size i32) (local $published i32)
    (local.set $out (i32.atomic.load 1 offset=@CONTROL_OUT
      (i32.load $private offset=@CONTROL (local.get $s))))
    (local.set $size (i32.load $private offset=@SIZE (local.get $s)))
    (if (i32.or
          (i32.ge_u (local.get $out) (local.get $size))
          (i32.and (local.get $out) (i32.const 7)))
      (then
        (i32.store $private offset=@FAULT (local.get $s) (i32.const @BAD_READ_INDEX))
        (return (i32.const 0))))
    (local.set $published (i32.load $private offset=@PUBLISHED (local.get $s)))
    (if (i32.gt_u
          (call $distance (local.get $out) (local.get $published) (local.get $size))
          (call $distance
            (i32.load $private offset=@PEER (local.get $s)) (local.get $published)
            (local.get $size)))
      (then
        (i32.store $private offset=@FAULT (local.get $s) (i32.const @READ_INDEX_REWOUND))
        (return (i32.const 0))))
    (i32.store $private offset=@PEER (local.get $s) (local.get $out))
    (i32.const 1))

  ;; Bytes free, by what is known of `out`. At least 8 bytes never are.
  (func $free (param $s i32) (result i32)
    (local $size i32)
    (local.set $size (i32.load $private offset=@SIZE (local.get $s)))
    (i32.sub
      (i32.sub (local.get $size) (i32.const 8))
      (call $distance
        (i32.load $private offset=@PEER (local.get $s))
        (i32.load $private offset=@NEXT (local.get $s))
        (local.get $size))))

  ;; Status of a packet of $total bytes with trailer, after looking at `out` if need be.
  (func $claim (param $s i32) (param $total i32) (result i32)
    (if (i32.load $private offset=@FAULT (local.get $s))
      (then (return (i32.const @STATUS_FAULT))))
    (if (i32.gt_u (local.get $total) (i32.load $private offset=@MAX_TOTAL (local.get $s)))
      (then (return (i32.const @STATUS_TOO_BIG))))
    (if (i32.le_u (local.get $total) (call $free (local.get $s)))
      (then (return (i32.const @STATUS_OK))))
    (if (i32.eqz (call $read_out (local.get $s)))
      (then (return (i32.const @STATUS_FAULT))))
    (if (i32.le_u (local.get $total) (call $free (local.get $s)))
      (then (return (i32.const @STATUS_OK))))
    (i32.store $private offset=@NEEDED (local.get $s) (local.get $total))
    (call $count (i32.add (local.get $s) (i32.const @FULLS)) (i32.const 1))
    (i32.const @STATUS_FULL))

  ;; First 8 bytes of a descriptor. $kind = type | flags << 16.
  (func $descriptor (param $kind i32) (param $header i32) (param $length i32) (result i64)
    (i64.or
      (i64.extend_i32_u
        (i32.or
          (i32.and (local.get $kind) (i32.const 0xffff))
          (i32.shl (i32.add (i32.shr_u (local.get $header) (i32.const 3)) (i32.const 2))
            (i32.const 16))))
      (i64.shl
        (i64.extend_i32_u
          (i32.or
            (i32.shr_u (local.get $length) (i32.const 3))
            (i32.and (local.get $kind) (i32.const 0xffff0000))))
        (i64.const 32))))

  (func $tid (param $low i32) (param $high i32) (result i64)
    (i64.or
      (i64.extend_i32_u (local.get $low))
      (i64.shl (i64.extend_i32_u (local.get $high)) (i64.const 32))))

  ;; Copies $length private bytes, a multiple of 8, to ring offset $offset on, across pages and the
  ;; wrap. Returns the offset after them.
  (func $copy_in (param $s i32) (param $offset i32) (param $from i32) (param $length i32)
    (result i32)
    (local $piece i32) (local $to i32)
    (loop $again
      (if (local.get $length)
        (then
          (call $find_run (local.get $s) (local.get $offset))
          (local.set $piece
            (call $least (local.get $length)
              (i32.sub (i32.load $private offset=@RUN_END (local.get $s)) (local.get $offset))))
          (local.set $to
            (i32.add (local.get $offset) (i32.load $private offset=@RUN_DELTA (local.get $s))))
          (local.set $offset
            (call $wrapped (local.get $s) (i32.add (local.get $offset) (local.get $piece))))
          (local.set $length (i32.sub (local.get $length) (local.get $piece)))
          (call $copy_body (local.get $to) (local.get $from) (local.get $piece))
          (local.set $from (i32.add (local.get $from) (local.get $piece)))
          (br $again))))
    (local.get $offset))

  ;; Puts 8 bytes at ring offset $offset, a multiple of 8. Returns the offset after them.
  (func $store8 (param $s i32) (param $offset i32) (param $value i64) (result i32)
    (call $find_run (local.get $s) (local.get $offset))
    (i64.store $shared
      (i32.add (local.get $offset) (i32.load $private offset=@RUN_DELTA (local.get $s)))
      (local.get $value))
    (call $wrapped (local.get $s) (i32.add (local.get $offset) (i32.const 8))))

  ;; The last $rest bytes of a body, 0..7, with their padding: zero whatever lies behind them.
  (func $padded (param $from i32) (param $rest i32) (result i64)
    (i64.and
      (i64.load $private (local.get $from))
      (i64.sub
        (i64.shl (i64.const 1) (i64.extend_i32_u (i32.shl (local.get $rest) (i32.const 3))))
        (i64.const 1))))

  ;; Writes a packet that crosses a run's end, and moves NEXT.
  (func $put_split (param $s i32) (param $from i32) (param $body i32) (param $descriptor i64)
    (param $tid i64)
    (local $start i32) (local $offset i32) (local $whole i32)
    (local.set $start (i32.load $private offset=@NEXT (local.get $s)))
    (local.set $offset
      (call $store8 (local.get $s)
        (call $store8 (local.get $s) (local.get $start) (local.get $descriptor))
        (local.get $tid)))
    (local.set $whole (i32.and (local.get $body) (i32.const -8)))
    (local.set $offset
      (call $copy_in (local.get $s) (local.get $offset) (local.get $from) (local.get $whole)))
    (if (local.tee $body (i32.and (local.get $body) (i32.const 7)))
      (then
        (local.set $offset
          (call $store8 (local.get $s) (local.get $offset)
            (call $padded
              (i32.add (local.get $from) (local.get $whole)) (local.get $body))))))
    (call $move_next (local.get $s)
      (call $store8 (local.get $s) (local.get $offset) (i64.shl (i64.extend_i32_u (local.get $start)) (i64.const 32)))))

  (func $move_next (param $s i32) (param $next i32)
    (i32.store $private offset=@NEXT (local.get $s) (local.get $next))
    (call $find_run (local.get $s) (local.get $next)))

  ;; Copies $length private bytes to one run of shared memory, and zeroes up to the next multiple of
  ;; 8.
  (func $copy_body (param $to i32) (param $from i32) (param $length i32)
    (local $done i32)
    (if (i32.gt_u (local.get $length) (i32.const @INLINE_COPY_BYTES))
      (then
        (memory.copy $shared $private
          (local.get $to) (local.get $from)
          (local.tee $done (i32.and (local.get $length) (i32.const -8)))))
      (else
        (if (i32.ge_u (local.get $length) (i32.const 16))
          (then
            (loop $sixteen
              (v128.store $shared (i32.add (local.get $to) (local.get $done))
                (v128.load $private (i32.add (local.get $from) (local.get $done))))
              (br_if $sixteen
                (i32.ge_u
                  (i32.sub
                    (local.get $length)
                    (local.tee $done (i32.add (local.get $done) (i32.const 16))))
                  (i32.const 16))))))
        (if (i32.and (local.get $length) (i32.const 8))
          (then
            (i64.store $shared (i32.add (local.get $to) (local.get $done))
              (i64.load $private (i32.add (local.get $from) (local.get $done))))
            (local.set $done (i32.add (local.get $done) (i32.const 8)))))))
    (if (local.tee $length (i32.and (local.get $length) (i32.const 7)))
      (then
        (i64.store $shared (i32.add (local.get $to) (local.get $done))
          (call $padded
            (i32.add (local.get $from) (local.get $done)) (local.get $length))))))

  ;; Writes one packet after NEXT, not yet visible. $body counts header and payload, which follow
  ;; each other at private address $from.
  (func $put (param $s i32) (param $from i32) (param $body i32) (param $header i32)
    (param $kind i32) (param $tid i64) (result i32)
    (local $length i32) (local $total i32) (local $next i32) (local $to i32)
    (local $status i32) (local $run_end i32)
    (local.set $length (i32.and (i32.add (local.get $body) (i32.const 23)) (i32.const -8)))
    (local.set $total (i32.add (local.get $length) (i32.const 8)))
    (local.set $status (call $claim (local.get $s) (local.get $total)))
    (if (local.get $status) (then (return (local.get $status))))
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (local.set $run_end (i32.load $private offset=@RUN_END (local.get $s)))
    (if (i32.gt_u (i32.add (local.get $next) (local.get $total)) (local.get $run_end))
      (then
        (call $put_split
          (local.get $s) (local.get $from) (local.get $body)
          (call $descriptor (local.get $kind) (local.get $header) (local.get $length))
          (local.get $tid))
        (return (i32.const @STATUS_OK))))
    (local.set $to
      (i32.add (local.get $next) (i32.load $private offset=@RUN_DELTA (local.get $s))))
    (i64.store $shared (local.get $to)
      (call $descriptor (local.get $kind) (local.get $header) (local.get $length)))
    (i64.store $shared offset=8 (local.get $to) (local.get $tid))
    (call $copy_body
      (i32.add (local.get $to) (i32.const 16)) (local.get $from) (local.get $body))
    (i64.store $shared (i32.add (local.get $to) (local.get $length))
      (i64.shl (i64.extend_i32_u (local.get $next)) (i64.const 32)))
    (local.set $next (i32.add (local.get $next) (local.get $total)))
    (if (i32.eq (local.get $next) (local.get $run_end))
      (then
        (call $move_next (local.get $s) (call $wrapped (local.get $s) (local.get $next)))
        (return (i32.const @STATUS_OK))))
    (i32.store $private offset=@NEXT (local.get $s) (local.get $next))
    (i32.const @STATUS_OK))

  ;; Publishes what was written. 1 when the peer must be signalled.
  (func $publish (param $s i32) (result i32)
    (local $control i32) (local $old i32) (local $next i32) (local $signal i32)
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (local.set $old (i32.load $private offset=@PUBLISHED (local.get $s)))
    (if (i32.eq (local.get $next) (local.get $old)) (then (return (i32.const 0))))
    (if (i32.load $private offset=@FAULT (local.get $s)) (then (return (i32.const 0))))
    (local.set $control (i32.load $private offset=@CONTROL (local.get $s)))
    (i32.store $private offset=@PUBLISHED (local.get $s) (local.get $next))
    (call $count (i32.add (local.get $s) (i32.const @PUBLISHES)) (i32.const 1))
    ;; ORDER: the store publishes the packets (plain writes before it), and comes before the loads
    ;; of mask and `out`. The receiver clears its mask, then reads `in`: either it sees the new
    ;; `in`, or this sees the mask cleared.
    (i32.atomic.store 1 offset=@CONTROL_IN (local.get $control) (local.get $next))
    (if (i32.atomic.load 1 offset=@CONTROL_MASK (local.get $control))
      (then (return (i32.const 0))))
    ;; Was the ring empty? Only an `out` read after the store can tell: an older one may lag behind
    ;; a receiver that has emptied the ring and gone to sleep since.
    (if (i32.eqz (call $read_out (local.get $s))) (then (return (i32.const 0))))
    (local.set $signal
      (i32.eq (i32.load $private offset=@PEER (local.get $s)) (local.get $old)))
    (call $count (i32.add (local.get $s) (i32.const @SIGNALS)) (local.get $signal))
    (local.get $signal))
  (export "publish" (func $publish))

  (func $write (export "write") (param $s i32) (param $from i32) (param $body i32)
    (param $header i32) (param $kind i32) (param $tid_low i32) (param $tid_high i32) (result i32)
    (local $status i32)
    (local.set $status (call $put
      (local.get $s) (local.get $from) (local.get $body) (local.get $header) (local.get $kind)
      (call $tid (local.get $tid_low) (local.get $tid_high))))
    (if (local.get $status) (then (return (local.get $status))))
    (call $count_moved (local.get $s) (i32.const 1)
      (i32.and (i32.add (local.get $body) (i32.const 31)) (i32.const -8)))
    (i32.const @STATUS_OK))

  ;; Writes one packet and publishes. 1 when the peer must be signalled, 0 when not, else a status
  ;; below zero.
  (func (export "send") (param $s i32) (param $from i32) (param $body i32) (param $header i32)
    (param $kind i32) (param $tid_low i32) (param $tid_high i32) (result i32)
    (local $status i32)
    (local.set $status (call $write
      (local.get $s) (local.get $from) (local.get $body) (local.get $header) (local.get $kind)
      (local.get $tid_low) (local.get $tid_high)))
    (if (local.get $status) (then (return (local.get $status))))
    (call $publish (local.get $s)))

  ;; Puts $count packets of one size together, as they are to lie in the ring, in the private area,
  ;; and copies them there at once: what a peer's cache holds is written over fastest in long
  ;; copies. There is room for them in both. Moves NEXT.
  (func $put_together (param $s i32) (param $from i32) (param $stride i32) (param $count i32)
    (param $body i32) (param $kind i32) (param $tid i64)
    (local $at i32) (local $offset i32) (local $done i32) (local $area i32) (local $length i32)
    (local $descriptor i64)
    (local.set $length (i32.and (i32.add (local.get $body) (i32.const 23)) (i32.const -8)))
    (local.set $descriptor
      (call $descriptor (local.get $kind) (i32.const 0) (local.get $length)))
    (local.set $at
      (local.tee $area (i32.load $private offset=@AREA_AT (local.get $s))))
    (local.set $offset (i32.load $private offset=@NEXT (local.get $s)))
    (loop $packet
      (i64.store $private (local.get $at) (local.get $descriptor))
      (i64.store $private offset=8 (local.get $at) (local.get $tid))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (if (i32.gt_u (local.get $body) (i32.const @INLINE_COPY_BYTES))
        (then
          (memory.copy $private $private
            (local.get $at) (local.get $from) (local.get $body)))
        (else
          ;; In steps of 32, whose last may go too far: the trailer follows, or the next packet.
          (local.set $done (i32.const 0))
          (loop $step
            (v128.store $private (i32.add (local.get $at) (local.get $done))
              (v128.load $private (i32.add (local.get $from) (local.get $done))))
            (v128.store $private offset=16 (i32.add (local.get $at) (local.get $done))
              (v128.load $private offset=16 (i32.add (local.get $from) (local.get $done))))
            (br_if $step
              (i32.lt_u
                (local.tee $done (i32.add (local.get $done) (i32.const 32)))
                (local.get $body))))))
      (local.set $done (i32.and (local.get $body) (i32.const -8)))
      ;; A body without a rest gets its trailer over this.
      (i64.store $private (i32.add (local.get $at) (local.get $done))
        (call $padded
          (i32.add (local.get $from) (local.get $done))
          (i32.and (local.get $body) (i32.const 7))))
      (local.set $at (i32.add (local.get $at) (i32.sub (local.get $length) (i32.const 16))))
      (i64.store $private (local.get $at) (i64.shl (i64.extend_i32_u (local.get $offset)) (i64.const 32)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (local.set $offset
        (call $wrapped (local.get $s)
          (i32.add (local.get $offset) (i32.add (local.get $length) (i32.const 8)))))
      (local.set $from (i32.add (local.get $from) (local.get $stride)))
      (br_if $packet
        (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (call $move_next (local.get $s)
      (call $copy_in (local.get $s)
        (i32.load $private offset=@NEXT (local.get $s)) (local.get $area)
        (i32.sub (local.get $at) (local.get $area)))))

  ;; Writes $count packets of one size, whose bodies lie $stride bytes apart from private $from on,
  ;; while they fit. Returns how many.
  (func (export "each") (param $s i32) (param $from i32) (param $stride i32)
    (param $count i32) (param $body i32) (param $kind i32) (param $tid_low i32)
    (param $tid_high i32) (result i32)
    (local $written i32) (local $together i32) (local $some i32)
    (local $total i32) (local $tid i64)
    (local.set $total (i32.and (i32.add (local.get $body) (i32.const 31)) (i32.const -8)))
    (local.set $tid
      (call $tid (local.get $tid_low) (local.get $tid_high)))
    ;; Small ones are put together first, as many as this. A dead end takes none.
    (if (i32.and
          (i32.eqz (i32.load $private offset=@FAULT (local.get $s)))
          (i32.le_u (local.get $total) (i32.const @TOGETHER_MAX_BYTES)))
      (then
        (local.set $together
          (i32.div_u (i32.load $private offset=@AREA_BYTES (local.get $s)) (local.get $total)))))
    (block $stop
      (loop $again
        (br_if $stop (i32.eq (local.get $written) (local.get $count)))
        (if (local.tee $some
              (call $least
                (call $least
                  (i32.sub (local.get $count) (local.get $written))
                  (local.get $together))
                (i32.div_u (call $free (local.get $s)) (local.get $total))))
          (then
            (call $put_together
              (local.get $s) (local.get $from) (local.get $stride) (local.get $some)
              (local.get $body) (local.get $kind) (local.get $tid)))
          (else
            ;; One packet the careful way, which looks at `out`.
            (br_if $stop (call $put
              (local.get $s) (local.get $from) (local.get $body) (i32.const 0) (local.get $kind)
              (local.get $tid)))
            (local.set $some (i32.const 1))))
        (local.set $from
          (i32.add (local.get $from) (i32.mul (local.get $some) (local.get $stride))))
        (local.set $written (i32.add (local.get $written) (local.get $some)))
        (br $again)))
    (call $count_moved (local.get $s) (local.get $written)
      (i32.mul (local.get $written) (local.get $total)))
    (local.get $written))

  ;; Writes composed packets, complete with trailers, that follow each other in the $bytes bytes at
  ;; private $from: all of them, or as many as fit. Publishes when $publish is not 0. Returns the
  ;; bytes written; SIGNAL_DUE says whether the peer must be signalled.
  (func (export "batch") (param $s i32) (param $from i32) (param $bytes i32)
    (param $packets i32) (param $publish i32) (result i32)
    (local $fit i32) (local $free i32) (local $total i32) (local $next i32)
    (if (i32.load $private offset=@FAULT (local.get $s)) (then (return (i32.const 0))))
    (if (i32.gt_u (local.get $bytes) (call $free (local.get $s)))
      (then
        (if (i32.eqz (call $read_out (local.get $s))) (then (return (i32.const 0))))
        (if (i32.gt_u (local.get $bytes) (local.tee $free (call $free (local.get $s))))
          (then
            (local.set $packets (i32.const 0))
            (block $full
              (loop $again
                (local.set $total
                  (i32.add
                    (i32.shl
                      (i32.load16_u $private offset=4
                        (i32.add (local.get $from) (local.get $fit)))
                      (i32.const 3))
                    (i32.const 8)))
                (br_if $full (i32.gt_u
                  (i32.add (local.get $fit) (local.get $total)) (local.get $free)))
                (local.set $fit (i32.add (local.get $fit) (local.get $total)))
                (local.set $packets (i32.add (local.get $packets) (i32.const 1)))
                (br $again)))
            (i32.store $private offset=@NEEDED (local.get $s) (local.get $total))
            (call $count (i32.add (local.get $s) (i32.const @FULLS)) (i32.const 1))
            (local.set $bytes (local.get $fit))))))
    (call $count_moved (local.get $s) (local.get $packets) (local.get $bytes))
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (call $move_next (local.get $s)
      (call $copy_in (local.get $s) (local.get $next) (local.get $from) (local.get $bytes)))
    (if (local.get $publish)
      (then
        (i32.store $private offset=@SIGNAL_DUE (local.get $s) (call $publish (local.get $s)))))
    (local.get $bytes))

  ;; Makes room for a packet that the caller composes in place; its body begins 16 bytes after the
  ;; packet does.
  (func (export "reserve") (param $s i32) (param $body i32) (param $header i32) (param $kind i32)
    (param $tid_low i32) (param $tid_high i32) (result i32)
    (local $length i32) (local $status i32) (local $next i32) (local $last i32)
    (local.set $length (i32.and (i32.add (local.get $body) (i32.const 23)) (i32.const -8)))
    (local.set $status
      (call $claim (local.get $s) (i32.add (local.get $length) (i32.const 8))))
    (if (local.get $status) (then (return (local.get $status))))
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    ;; The last 8 bytes are zeroed with the trailer, so that what the caller leaves of them is
    ;; padding. The descriptor comes second: of a packet without a body it takes that place.
    (local.set $last
      (call $wrapped (local.get $s)
        (i32.add (local.get $next) (i32.sub (local.get $length) (i32.const 8)))))
    (local.set $last
      (call $store8 (local.get $s)
        (call $store8 (local.get $s) (local.get $last) (i64.const 0))
        (i64.shl (i64.extend_i32_u (local.get $next)) (i64.const 32))))
    (drop
      (call $store8 (local.get $s)
        (call $store8 (local.get $s) (local.get $next)
          (call $descriptor (local.get $kind) (local.get $header) (local.get $length)))
        (call $tid (local.get $tid_low) (local.get $tid_high))))
    (call $move_next (local.get $s) (local.get $last))
    (call $count_moved (local.get $s) (i32.const 1)
      (i32.add (local.get $length) (i32.const 8)))
    (i32.const @STATUS_OK))

  ;; Bytes free now, or STATUS_FAULT.
  (func (export "room") (param $s i32) (result i32)
    (if (i32.load $private offset=@FAULT (local.get $s))
      (then (return (i32.const @STATUS_FAULT))))
    (if (i32.eqz (call $read_out (local.get $s)))
      (then (return (i32.const @STATUS_FAULT))))
    (call $free (local.get $s)))

  ;; Asks the receiver for a signal once $total bytes are free. 1 when they already are, and then
  ;; nothing is asked.
  (func (export "block") (param $s i32) (param $total i32) (result i32)
    (local $control i32)
    (if (i32.load $private offset=@FAULT (local.get $s))
      (then (return (i32.const @STATUS_FAULT))))
    (local.set $control (i32.load $private offset=@CONTROL (local.get $s)))
    ;; ORDER: the store comes before the load of `out`. The receiver stores `out`, then reads this
    ;; word: either it sees the request, or this sees the space.
    (i32.store $private offset=@PENDING (local.get $s) (local.get $total))
    (i32.atomic.store 1 offset=@CONTROL_PENDING (local.get $control) (local.get $total))
    (if (i32.eqz (call $read_out (local.get $s)))
      (then (return (i32.const @STATUS_FAULT))))
    (if (i32.gt_u (local.get $total) (call $free (local.get $s)))
      (then (return (i32.const 0))))
    (i32.store $private offset=@PENDING (local.get $s) (i32.const 0))
    (i32.atomic.store 1 offset=@CONTROL_PENDING (local.get $control) (i32.const 0))
    (i32.const 1))

  ;; ---- incoming end ----

  ;; Reads and validates `in`. It only moves forward, over free bytes. 0 = fault.
  (func $read_in (param $s i32) (result i32)
    (local $in i32) (local $size i32) (local $published i32)
    (local.set $in (i32.atomic.load 1 offset=@CONTROL_IN
      (i32.load $private offset=@CONTROL (local.get $s))))
    (if (i32.eq (local.get $in) (i32.load $private offset=@PEER (local.get $s)))
      (then (return (i32.const 1))))
    (local.set $size (i32.load $private offset=@SIZE (local.get $s)))
    (if (i32.or
          (i32.ge_u (local.get $in) (local.get $size))
          (i32.and (local.get $in) (i32.const 7)))
      (then
        (i32.store $private offset=@FAULT (local.get $s) (i32.const @BAD_WRITE_INDEX))
        (return (i32.const 0))))
    (local.set $published (i32.load $private offset=@PUBLISHED (local.get $s)))
    (if (i32.lt_u
          (call $distance (local.get $published) (local.get $in) (local.get $size))
          (call $distance
            (local.get $published) (i32.load $private offset=@PEER (local.get $s))
            (local.get $size)))
      (then
        (i32.store $private offset=@FAULT (local.get $s) (i32.const @WRITE_INDEX_REWOUND))
        (return (i32.const 0))))
    (i32.store $private offset=@PEER (local.get $s) (local.get $in))
    (i32.const 1))

  ;; Bytes that the sender has announced and this end has not taken, by what is known of `in`.
  (func $announced (param $s i32) (result i32)
    (call $distance
      (i32.load $private offset=@NEXT (local.get $s))
      (i32.load $private offset=@PEER (local.get $s))
      (i32.load $private offset=@SIZE (local.get $s))))

  ;; Copies $length bytes, a multiple of 8, from ring offset $offset on, across pages and the wrap,
  ;; to private $to.
  (func $copy_out (param $s i32) (param $offset i32) (param $to i32) (param $length i32)
    (local $piece i32) (local $from i32) (local $done i32)
    (loop $again
      (local.set $offset (call $wrapped (local.get $s) (local.get $offset)))
      (call $find_run (local.get $s) (local.get $offset))
      (local.set $piece
        (call $least (local.get $length)
          (i32.sub (i32.load $private offset=@RUN_END (local.get $s)) (local.get $offset))))
      (local.set $from
        (i32.add (local.get $offset) (i32.load $private offset=@RUN_DELTA (local.get $s))))
      (local.set $offset (i32.add (local.get $offset) (local.get $piece)))
      (local.set $length (i32.sub (local.get $length) (local.get $piece)))
      (if (i32.gt_u (local.get $piece) (i32.const @INLINE_COPY_BYTES))
        (then
          (memory.copy $private $shared
            (local.get $to) (local.get $from) (local.get $piece)))
        (else
          (local.set $done (i32.const 0))
          (if (i32.ge_u (local.get $piece) (i32.const 16))
            (then
              (loop $sixteen
                (v128.store $private (i32.add (local.get $to) (local.get $done))
                  (v128.load $shared (i32.add (local.get $from) (local.get $done))))
                (br_if $sixteen
                  (i32.ge_u
                    (i32.sub
                      (local.get $piece)
                      (local.tee $done (i32.add (local.get $done) (i32.const 16))))
                    (i32.const 16))))))
          (if (i32.and (local.get $piece) (i32.const 8))
            (then
              (i64.store $private (i32.add (local.get $to) (local.get $done))
                (i64.load $shared (i32.add (local.get $from) (local.get $done))))))))
      (local.set $to (i32.add (local.get $to) (local.get $piece)))
      (br_if $again (local.get $length))))

  ;; Which check the descriptor at private $at fails, 0 when it fails none.
  (func $descriptor_fault (param $s i32) (param $at i32) (param $available i32) (result i32)
    (local $offset8 i32) (local $length8 i32) (local $type i32)
    (local.set $offset8 (i32.load16_u $private offset=2 (local.get $at)))
    (local.set $length8 (i32.load16_u $private offset=4 (local.get $at)))
    (local.set $type (i32.load16_u $private (local.get $at)))
    (if (i32.or
          (i32.lt_u (local.get $offset8) (i32.const 2))
          (i32.gt_u (local.get $offset8) (local.get $length8)))
      (then (return (i32.const @BAD_OFFSET))))
    (local.set $length8 (i32.shl (i32.add (local.get $length8) (i32.const 1)) (i32.const 3)))
    (if (i32.gt_u (local.get $length8) (local.get $available))
      (then (return (i32.const @LENGTH_BEYOND_INDEX))))
    (if (i32.gt_u (i32.load16_u $private offset=6 (local.get $at)) (i32.const 1))
      (then (return (i32.const @BAD_FLAGS))))
    (if (i32.or
          (i32.gt_u (local.get $type) (i32.const 31))
          (i32.eqz (i32.and
            (i32.shr_u (i32.load $private offset=@ACCEPT (local.get $s)) (local.get $type))
            (i32.const 1))))
      (then (return (i32.const @UNKNOWN_TYPE))))
    (select (i32.const @PACKET_TOO_LARGE) (i32.const @NONE)
      (i32.gt_u (local.get $length8) (i32.load $private offset=@MAX_TOTAL (local.get $s)))))

  ;; Checks the ranges of the private copy of a packet at $at, whose header ends at $offset.
  ;; RingFault, 0 when they are well.
  (func $check_ranges (param $s i32) (param $at i32) (param $offset i32) (param $type i32)
    (result i32)
    (local $count i32) (local $cursor i32) (local $end i32) (local $pages i32)
    (local $bytes i32) (local $first i32)
    (if (i32.lt_u (local.get $offset) (i32.const 24))
      (then (return (i32.const @SHORT_HEADER))))
    (local.set $count (i32.load $private offset=20 (local.get $at)))
    (if (i32.gt_u (local.get $count) (i32.load $private offset=@MAX_RANGES (local.get $s)))
      (then (return (i32.const @TOO_MANY_RANGES))))
    (if (i32.eq (local.get $type) (i32.const 7))
      (then
        (return (select (i32.const @SHORT_HEADER) (i32.const 0)
          (i32.gt_u (local.get $count)
            (i32.shr_u (i32.sub (local.get $offset) (i32.const 24)) (i32.const 3)))))))
    (if (i32.eqz (local.get $count)) (then (return (i32.const @NO_RANGES))))
    (local.set $cursor (i32.add (local.get $at) (i32.const 24)))
    (local.set $end (i32.add (local.get $at) (local.get $offset)))
    (loop $again
      ;; Behind a header that is too short these two words are some other private bytes: read, and
      ;; not used.
      (local.set $bytes (i32.load $private (local.get $cursor)))
      (local.set $first (i32.load $private offset=4 (local.get $cursor)))
      (if (i32.or
            (i32.or
              (i32.lt_u (i32.sub (local.get $end) (local.get $cursor)) (i32.const 8))
              (i32.eqz (local.get $bytes)))
            (i32.or
              (i32.gt_u (local.get $first) (i32.const 4095))
              (i32.gt_u (local.get $bytes) (i32.sub (i32.const -4096) (local.get $first)))))
        (then (return (i32.const @BAD_RANGE))))
      (local.set $pages
        (i32.shr_u
          (i32.add (i32.add (local.get $bytes) (local.get $first)) (i32.const 4095))
          (i32.const 12)))
      (local.set $cursor (i32.add (local.get $cursor) (i32.const 8)))
      (if (i32.gt_u
            (local.get $pages)
            (i32.shr_u (i32.sub (local.get $end) (local.get $cursor)) (i32.const 3)))
        (then (return (i32.const @BAD_RANGE))))
      (local.set $cursor
        (i32.add (local.get $cursor) (i32.shl (local.get $pages) (i32.const 3))))
      (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (i32.const 0))

  ;; Copies ring bytes behind those that wait in the arena between $at and $end, which begin at ring
  ;; offset $next, so that $need of the $available bytes are there, and up to $wanted more. Returns
  ;; the new end, 0 when the arena has no room.
  (func $fetch (param $s i32) (param $at i32) (param $end i32) (param $next i32)
    (param $available i32) (param $need i32) (param $wanted i32) (result i32)
    (local $amount i32) (local $room i32) (local $have i32)
    (local.set $room
      (i32.sub
        (i32.add
          (i32.load $private offset=@AREA_AT (local.get $s))
          (i32.load $private offset=@AREA_BYTES (local.get $s)))
        (local.get $at)))
    (if (i32.gt_u (local.get $need) (local.get $room)) (then (return (i32.const 0))))
    (local.set $have (i32.sub (local.get $end) (local.get $at)))
    (local.set $amount (i32.sub (local.get $available) (local.get $have)))
    (if (i32.lt_u (local.get $wanted) (i32.const @FETCH_MIN_BYTES))
      (then (local.set $wanted (i32.const @FETCH_MIN_BYTES))))
    (local.set $amount
      (call $least
        (call $least
          (local.get $amount)
          (call $least (local.get $wanted) (i32.const @FETCH_MAX_BYTES)))
        (i32.sub (local.get $room) (local.get $have))))
    (if (i32.lt_u (i32.add (local.get $have) (local.get $amount)) (local.get $need))
      (then (local.set $amount (i32.sub (local.get $need) (local.get $have)))))
    (call $copy_out
      (local.get $s) (i32.add (local.get $next) (local.get $have)) (local.get $end)
      (local.get $amount))
    (i32.add (local.get $end) (local.get $amount)))

  ;; Takes $max packets at most out of the ring: copies what the sender announced into the arena,
  ;; piece by piece, and validates the copy. Bytes copied and not yet asked for wait there
  ;; (WINDOW_AT .. WINDOW_END) and are not read again. Returns how many packets. A bad packet ends
  ;; the batch; when it is the first, the end is dead and the answer is 0.
  (func (export "receive") (param $s i32) (param $max i32) (result i32)
    (local $next i32) (local $announced i32) (local $at i32) (local $begin i32) (local $end i32)
    (local $fetched i32) (local $left i32) (local $taken i32) (local $index i32)
    (local $first_index i32) (local $accept i32) (local $type i32)
    (local $offset i32) (local $total i32) (local $max_total i32)
    (local $area i32) (local $code i32) (local $typical i32)
    (if (i32.load $private offset=@FAULT (local.get $s)) (then (return (i32.const 0))))
    (if (i32.eqz (call $read_in (local.get $s))) (then (return (i32.const 0))))
    (local.set $typical (i32.load $private offset=@TYPICAL (local.get $s)))
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (if (i32.eqz (local.tee $announced (call $announced (local.get $s))))
      (then (return (i32.const 0))))
    (local.set $area (i32.load $private offset=@AREA_AT (local.get $s)))
    (local.set $at (i32.load $private offset=@WINDOW_AT (local.get $s)))
    (local.set $end (i32.load $private offset=@WINDOW_END (local.get $s)))
    (if (i32.eq (local.get $at) (local.get $end))
      (then (local.set $end (local.tee $at (local.get $area)))))
    ;; $at - $begin is always what this call has taken.
    (local.set $begin (local.get $at))
    (local.set $accept (i32.load $private offset=@ACCEPT (local.get $s)))
    (local.set $max_total (i32.load $private offset=@MAX_TOTAL (local.get $s)))
    (local.set $index
      (local.tee $first_index (i32.load $private offset=@TABLE_AT (local.get $s))))
    (local.set $max
      (i32.add (local.get $index)
        (i32.mul
          (call $least (local.get $max) (i32.load $private offset=@TABLE_COUNT (local.get $s)))
          (i32.const @INDEX_ENTRY_BYTES))))
    (block $stop
      (loop $window
        (block $ranged
          (block $incomplete
            (block $bad
              ;; Packets that are whole in the arena. No calls in this loop: it is the hot one. All
              ;; is read from the private copy, which nobody can change between the checks and the
              ;; use.
              (loop $packet
                (local.set $total (i32.const 16))
                (local.set $left (i32.sub (local.get $end) (local.get $at)))
                (br_if $incomplete (i32.lt_u (local.get $left) (local.get $total)))
                (local.set $total
                  (i32.add
                    (i32.shl (i32.load16_u $private offset=4 (local.get $at)) (i32.const 3))
                    (i32.const 8)))
                (local.set $offset
                  (i32.shl (i32.load16_u $private offset=2 (local.get $at)) (i32.const 3)))
                (local.set $type (i32.load16_u $private (local.get $at)))
                (br_if $bad
                  (i32.or
                    (i32.or
                      (i32.lt_u (local.get $offset) (i32.const 16))
                      (i32.ge_u (local.get $offset) (local.get $total)))
                    (i32.or
                      (i32.or
                        (i32.gt_u (local.get $total) (local.get $max_total))
                        (i32.gt_u
                          (i32.load16_u $private offset=6 (local.get $at)) (i32.const 1)))
                      (i32.or
                        (i32.gt_u (local.get $type) (i32.const 31))
                        (i32.eqz (i32.and
                          (i32.shr_u (local.get $accept) (local.get $type))
                          (i32.const 1)))))))
                (br_if $incomplete (i32.gt_u (local.get $total) (local.get $left)))
                (local.set $fetched (i32.sub (local.get $at) (local.get $area)))
                (i32.store $private (local.get $index) (local.get $fetched))
                (i32.store $private offset=4 (local.get $index)
                  (i32.add (local.get $fetched) (local.get $offset)))
                (local.set $index
                  (i32.add (local.get $index) (i32.const @INDEX_ENTRY_BYTES)))
                (local.set $at (i32.add (local.get $at) (local.get $total)))
                ;; Types 7 and 9 carry ranges.
                (br_if $ranged (i32.and
                  (i32.shr_u (i32.const 0x280) (local.get $type)) (i32.const 1)))
                (br_if $packet (i32.lt_u (local.get $index) (local.get $max))))
              (br $stop))
            (local.set $code (call $descriptor_fault
              (local.get $s) (local.get $at)
              (i32.sub
                (local.get $announced) (i32.sub (local.get $at) (local.get $begin)))))
            (br $stop))
          ;; The packet at $at is not all there: $total bytes of it are needed.
          (local.set $taken (i32.sub (local.get $at) (local.get $begin)))
          (local.set $left (i32.sub (local.get $announced) (local.get $taken)))
          (br_if $stop (i32.eqz (local.get $left)))
          (if (i32.gt_u (local.get $total) (local.get $left))
            (then
              (local.set $code (select
                (i32.const @TRUNCATED_DESCRIPTOR)
                (i32.const @LENGTH_BEYOND_INDEX)
                (i32.lt_u (local.get $left) (i32.const 16))))
              (br $stop)))
          (local.set $fetched (call $fetch
            (local.get $s) (local.get $at) (local.get $end)
            (i32.add (local.get $next) (local.get $taken))
            (local.get $left) (local.get $total)
            ;; As much as the packets still asked for will take, if they are like the last one: what
            ;; is fetched too early leaves the cache again.
            (i32.mul
              (i32.shr_u (i32.sub (local.get $max) (local.get $index)) (i32.const 3))
              (local.get $typical))))
          (if (local.get $fetched)
            (then
              (local.set $end (local.get $fetched))
              (br $window)))
          ;; No room behind the packets of this batch: end it. The next one starts over at the
          ;; arena's begin, and copies and validates this packet anew.
          (local.set $end (local.get $at))
          (br_if $stop (i32.ne (local.get $index) (local.get $first_index)))
          ;; Nor is there any in the whole arena: without this no batch would ever end.
          (if (i32.eq (local.get $at) (local.get $area))
            (then
              (local.set $code (i32.const @PACKET_TOO_LARGE))
              (br $stop)))
          (local.set $end (local.tee $begin (local.tee $at (local.get $area))))
          (br $window))
        ;; The ranges of the packet just taken must lie inside its header.
        (local.set $code (call $check_ranges
          (local.get $s) (i32.sub (local.get $at) (local.get $total)) (local.get $offset)
          (local.get $type)))
        (if (local.get $code)
          (then
            (local.set $at (i32.sub (local.get $at) (local.get $total)))
            (local.set $index
              (i32.sub (local.get $index) (i32.const @INDEX_ENTRY_BYTES)))
            (br $stop)))
        (br_if $window (i32.lt_u (local.get $index) (local.get $max)))))
    (if (i32.eq (local.get $index) (local.get $first_index))
      (then
        (i32.store $private offset=@FAULT (local.get $s) (local.get $code))
        (return (i32.const 0))))
    (i32.store $private offset=@WINDOW_AT (local.get $s) (local.get $at))
    (i32.store $private offset=@WINDOW_END (local.get $s) (local.get $end))
    (i32.store $private offset=@TYPICAL (local.get $s)
      (i32.sub
        (local.get $at)
        (i32.add (local.get $area)
          (i32.load $private (i32.sub (local.get $index) (i32.const 8))))))
    (local.set $taken (i32.sub (local.get $at) (local.get $begin)))
    (i32.store $private offset=@NEXT (local.get $s)
      (call $wrapped (local.get $s) (i32.add (local.get $next) (local.get $taken))))
    (local.set $index
      (i32.shr_u (i32.sub (local.get $index) (local.get $first_index)) (i32.const 3)))
    (call $count_moved (local.get $s) (local.get $index) (local.get $taken))
    (local.get $index))

  ;; Copies the descriptor and header of the next packet into the arena and validates them; the
  ;; payload stays in the ring. 1, or 0 when there is no packet or the end is dead. What waited in
  ;; the arena is forgotten.
  (func (export "peek") (param $s i32) (result i32)
    (local $next i32) (local $available i32) (local $area i32) (local $offset i32)
    (local $type i32) (local $code i32)
    (if (i32.load $private offset=@FAULT (local.get $s)) (then (return (i32.const 0))))
    (if (i32.eqz (call $read_in (local.get $s))) (then (return (i32.const 0))))
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (if (i32.eqz (local.tee $available (call $announced (local.get $s))))
      (then (return (i32.const 0))))
    (local.set $area (i32.load $private offset=@AREA_AT (local.get $s)))
    (i32.store $private offset=@WINDOW_AT (local.get $s) (local.get $area))
    (i32.store $private offset=@WINDOW_END (local.get $s) (local.get $area))
    (block $bad
      (local.set $code (i32.const @TRUNCATED_DESCRIPTOR))
      (br_if $bad (i32.lt_u (local.get $available) (i32.const 16)))
      (call $copy_out (local.get $s) (local.get $next) (local.get $area) (i32.const 16))
      (br_if $bad
        (local.tee $code (call $descriptor_fault
          (local.get $s) (local.get $area) (local.get $available))))
      (local.set $type (i32.load16_u $private (local.get $area)))
      (local.set $offset
        (i32.shl (i32.load16_u $private offset=2 (local.get $area)) (i32.const 3)))
      ;; The header fits the arena, since a packet that is not too large does.
      (if (i32.gt_u (local.get $offset) (i32.const 16))
        (then
          (call $copy_out
            (local.get $s)
            (i32.add (local.get $next) (i32.const 16))
            (i32.add (local.get $area) (i32.const 16))
            (i32.sub (local.get $offset) (i32.const 16)))))
      (if (i32.and (i32.shr_u (i32.const 0x280) (local.get $type)) (i32.const 1))
        (then
          (br_if $bad
            (local.tee $code (call $check_ranges
              (local.get $s) (local.get $area) (local.get $offset) (local.get $type))))))
      (i64.store $private
        (i32.load $private offset=@TABLE_AT (local.get $s))
        (i64.shl (i64.extend_i32_u (local.get $offset)) (i64.const 32)))
      (i32.store $private offset=@PEEKED (local.get $s)
        (i32.shl
          (i32.add (i32.load16_u $private offset=4 (local.get $area)) (i32.const 1))
          (i32.const 3)))
      (return (i32.const 1)))
    (i32.store $private offset=@FAULT (local.get $s) (local.get $code))
    (i32.const 0))

  ;; Takes the packet that `peek` showed, and forgets it.
  (func (export "consume") (param $s i32)
    (local $total i32)
    (local.set $total (i32.load $private offset=@PEEKED (local.get $s)))
    (i32.store $private offset=@PEEKED (local.get $s) (i32.const 0))
    (i32.store $private offset=@NEXT (local.get $s)
      (call $wrapped (local.get $s)
        (i32.add (i32.load $private offset=@NEXT (local.get $s)) (local.get $total))))
    (call $count_moved (local.get $s) (i32.const 1) (local.get $total)))

  ;; Gives the sender back what was consumed. 1 when it waits for space and now has it.
  (func (export "release") (param $s i32) (result i32)
    (local $control i32) (local $old i32) (local $next i32) (local $pending i32) (local $signal i32)
    (local $used i32) (local $size i32)
    (local.set $next (i32.load $private offset=@NEXT (local.get $s)))
    (local.set $old (i32.load $private offset=@PUBLISHED (local.get $s)))
    (if (i32.eq (local.get $next) (local.get $old)) (then (return (i32.const 0))))
    (if (i32.load $private offset=@FAULT (local.get $s)) (then (return (i32.const 0))))
    (local.set $control (i32.load $private offset=@CONTROL (local.get $s)))
    (call $count (i32.add (local.get $s) (i32.const @PUBLISHES)) (i32.const 1))
    ;; ORDER: the store comes after the last byte was copied out, and before the load of the pending
    ;; size. The sender stores its pending size, then reads `out`: either it sees the space, or this
    ;; sees that it waits.
    (i32.atomic.store 1 offset=@CONTROL_OUT (local.get $control) (local.get $next))
    ;; From here on the sender may write where the packets were: `in` is judged by the new `out`.
    (i32.store $private offset=@PUBLISHED (local.get $s) (local.get $next))
    (local.set $pending
      (i32.and
        (i32.atomic.load 1 offset=@CONTROL_PENDING (local.get $control)) (i32.const -8)))
    (if (i32.eqz (local.get $pending)) (then (return (i32.const 0))))
    (if (i32.eqz (call $read_in (local.get $s))) (then (return (i32.const 0))))
    (if (i32.eqz (i32.and
          (i32.atomic.load 1 offset=@CONTROL_FEATURES (local.get $control)) (i32.const 1)))
      (then (return (i32.const 0))))
    ;; Only the edge: what was free before was too little, what is free now is enough. $pending
    ;; becomes the most that may be in use; a request for more than the ring holds never gets its
    ;; edge.
    (local.set $size (i32.load $private offset=@SIZE (local.get $s)))
    (local.set $pending
      (i32.sub (i32.sub (local.get $size) (i32.const 8)) (local.get $pending)))
    (if (i32.ge_u (local.get $pending) (local.get $size)) (then (return (i32.const 0))))
    (local.set $used (call $announced (local.get $s)))
    (local.set $signal
      (i32.and
        (i32.le_u (local.get $used) (local.get $pending))
        (i32.gt_u
          (i32.add
            (local.get $used)
            (call $distance (local.get $old) (local.get $next) (local.get $size)))
          (local.get $pending))))
    (call $count (i32.add (local.get $s) (i32.const @SIGNALS)) (local.get $signal))
    (local.get $signal)))
