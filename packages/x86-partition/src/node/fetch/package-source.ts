// Where packages come from: apt, or a mirror over HTTP. Both name what is wanted before they fetch it, so that what is there already is not fetched again.

/** A package of the archive, as it is today. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
}

/** Bytes of one file that have come so far. */
export interface FetchedBytes {
  readonly file: string
  readonly done: number
  readonly total: number
}

export interface PackageSource {
  /** The kernel of the day, then OTHER_PACKAGES. Rejects with a FetchError. */
  resolve(): Promise<readonly DebianPackage[]>
  /** Paths of their archives, in the same order, whose hashes are the archive's. What was fetched before an interruption is not fetched again. */
  download(): Promise<readonly string[]>
}

export interface SourceOptions {
  /** A folder of the source's own; it may hold what an earlier fetch left. */
  readonly work: string
  /** URL of a Debian mirror; null: the source's own default. */
  readonly mirror: string | null
  readonly suite: string
  /** File of OpenPGP keys in place of Debian's own; null: those. */
  readonly keyring: string | null
  readonly signal: AbortSignal
  /** One line for each step. */
  readonly onProgress: (line: string) => void
  readonly onBytes: (bytes: FetchedBytes) => void
}

/** Depends on the kernel of the day. */
export const KERNEL_META = 'linux-image-686'
/** What a guest is made of beside its kernel. */
export const OTHER_PACKAGES: readonly string[] = ['busybox-static', 'seabios']
/** Which of its dependencies the kernel is. */
export const KERNEL_NAME: RegExp = /\blinux-image-[\w.+-]+-686\b/
