// Both ends of an adapter for tests; never loaded by the package itself.

export { openAdapter, type OpenAdapter, type OpenAdapterOptions } from './testing/open-adapter.ts'
