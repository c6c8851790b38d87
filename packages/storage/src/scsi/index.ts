export { DataDirection, SENSE_BYTES, ScsiOutcome, ScsiRequest } from './scsi-request.ts'
