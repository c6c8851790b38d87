// The longest stretch that is known of RAM at its own page number with every right: what a SLAT answers for with one
// compare, before it looks into its table. It may be shorter than the longest there is, never longer.

/** Root's thread only. Pages. */
export class PlainRun {
  first = 0
  pages = 0

  /** These pages may be plain no more: the longer of what is left on either side stays. */
  exclude(from: number, end: number): void {
    const last = this.first + this.pages
    if (end <= this.first || from >= last) return
    const before = Math.max(0, from - this.first)
    const after = Math.max(0, last - end)
    this.first = before >= after ? this.first : end
    this.pages = before >= after ? before : after
  }

  /** These pages are plain: one with the run where they touch it, else the longer of the two. */
  include(from: number, end: number): void {
    const last = this.first + this.pages
    if (this.pages > 0 && from <= last && end >= this.first) {
      this.first = Math.min(this.first, from)
      this.pages = Math.max(last, end) - this.first
    } else if (end - from > this.pages) {
      this.first = from
      this.pages = end - from
    }
  }
}
