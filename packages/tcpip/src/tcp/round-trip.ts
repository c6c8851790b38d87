// How long an acknowledgement takes, and when one is overdue (RFC 6298).

const FIRST_RTO_MS = 1_000
/** The RFC asks for a second; every stack in use waits less, since its delayed acknowledgements come within this. */
const RTO_MIN_MS = 200
const RTO_MAX_MS = 60_000
const GRANULARITY_MS = 1

export class RoundTrip {
  #smoothedMs = -1
  #variationMs = 0
  #baseMs = FIRST_RTO_MS
  #backoff = 0

  /** Milliseconds until a segment that isn't acknowledged is sent again. */
  get timeoutMs(): number {
    return Math.min(RTO_MAX_MS, this.#baseMs * 2 ** this.#backoff)
  }

  /** Timeouts in a row. */
  get backoff(): number {
    return this.#backoff
  }

  /** Smoothed; null before the first. */
  get smoothedMs(): number | null {
    return this.#smoothedMs < 0 ? null : this.#smoothedMs
  }

  /** Section 2. */
  sample(roundTripMs: number): void {
    if (this.#smoothedMs < 0) {
      this.#smoothedMs = roundTripMs
      this.#variationMs = roundTripMs / 2
    } else {
      const off = Math.abs(this.#smoothedMs - roundTripMs)
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * off
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * roundTripMs
    }
    const wanted = this.#smoothedMs + Math.max(GRANULARITY_MS, 4 * this.#variationMs)
    this.#baseMs = Math.min(RTO_MAX_MS, Math.max(RTO_MIN_MS, wanted))
  }

  backOff(): void {
    this.#backoff += 1
  }

  /** Something new was acknowledged: the path lives. */
  onProgress(): void {
    this.#backoff = 0
  }
}
