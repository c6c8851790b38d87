export { InterruptRouter, PortIds, type BusInbox } from './route.ts'
