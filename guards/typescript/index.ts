export { guardOf } from "./feed.ts";
export { Guard, type Presented, type Verdict } from "./guard.ts";
export {
  DeniedError, protect, protectFastify, signalOf, type HttpOptions, type Presents,
} from "./http.ts";
export { LiveGuard } from "./live.ts";
