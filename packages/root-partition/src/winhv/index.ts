export { WinHv } from './winhv.ts'
