/** Most bytes of a report: two of the longest messages in base64, and a chain of rosters of a usual size. */
export const REPORT_BYTES_MAX: number = 40 * 1024 * 1024;
