//! A component that misbehaves on request.
