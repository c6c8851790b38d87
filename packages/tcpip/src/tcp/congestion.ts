// How much may be under way that the network has not shown it can carry: slow start, congestion avoidance, fast recovery (RFC 5681), its end
// (NewReno, RFC 6582), and a first window of ten segments (RFC 6928). Bytes throughout.

const FIRST_SEGMENTS = 10
const FIRST_BYTES = 14_600

export class Congestion {
  #segment: number
  #window: number
  #threshold = Infinity
  /** Acknowledged in congestion avoidance since the window last grew. */
  #acknowledged = 0

  /** `segment`: the most data that a segment carries. */
  constructor(segment: number) {
    this.#segment = segment
    this.#window = this.#first
  }

  get window(): number {
    return this.#window
  }

  get threshold(): number {
    return this.#threshold
  }

  /** Nothing was lost, and bytes arrived. */
  onAcknowledged(bytes: number): void {
    if (this.#window < this.#threshold) {
      // RFC 3465: a late acknowledgement of many segments opens the window by two.
      this.#window += Math.min(bytes, 2 * this.#segment)
      return
    }
    this.#acknowledged += bytes
    if (this.#acknowledged < this.#window) return
    this.#acknowledged -= this.#window
    this.#window += this.#segment
  }

  /** Three duplicates: a segment is lost, those behind it arrive. */
  onLoss(inFlight: number): void {
    this.#halve(inFlight)
    this.#window = this.#threshold + 3 * this.#segment
  }

  /** One more has left the network. */
  onDuplicate(): void {
    this.#window += this.#segment
  }

  /** A hole is filled, and another is behind it. */
  onPartial(bytes: number): void {
    const regained = bytes >= this.#segment ? this.#segment : 0
    this.#window = Math.max(this.#segment, this.#window - bytes + regained)
  }

  /** All that was under way at the loss has arrived. */
  onRecovered(inFlight: number): void {
    this.#window = Math.min(this.#threshold, Math.max(inFlight, this.#segment) + this.#segment)
    this.#acknowledged = 0
  }

  /** Nothing came for long. `isFirst`: no timeout before this one for the same data. */
  onTimeout(inFlight: number, isFirst: boolean): void {
    if (isFirst) this.#halve(inFlight)
    this.#window = this.#segment
    this.#acknowledged = 0
  }

  /** Nothing was sent for longer than a timeout: what the path could carry is not known any longer (section 4.1). */
  onIdle(): void {
    this.#window = Math.min(this.#window, this.#first)
  }

  /** The path carries less in a packet than it seemed to. */
  setSegment(segment: number): void {
    this.#segment = segment
    this.#window = Math.max(this.#window, segment)
  }

  get #first(): number {
    return Math.min(FIRST_SEGMENTS * this.#segment, Math.max(2 * this.#segment, FIRST_BYTES))
  }

  #halve(inFlight: number): void {
    this.#threshold = Math.max(Math.floor(inFlight / 2), 2 * this.#segment)
  }
}
