export { guardOf } from "./feed.ts";
export { Guard, type Presented } from "./guard.ts";
