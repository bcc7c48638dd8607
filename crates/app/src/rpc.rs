//! JSON-RPC 2.0, one object in each WebSocket message.

use conclave_client::{Error, ErrorRecord, ExitClass};
use serde::Deserialize;
use serde_json::{Value, json};

/// The text was no JSON.
const NOT_JSON: i32 = -32700;
/// It was JSON, and no request.
const NO_REQUEST: i32 = -32600;
/// There is no such method.
pub(crate) const NO_METHOD: i32 = -32601;
/// It has other parameters.
pub(crate) const BAD_PARAMS: i32 = -32602;
/// It was understood, and did not work.
const FAILED: i32 = -32000;

/// A request.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    /// Given back with the answer.
    pub(crate) id: Value,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) params: Value,
}

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Problem {
    /// What the SDK says.
    Sdk(Error),
    /// It cannot be done like this: a short name for programs, what is wrong, and the next step.
    Refused { kind: &'static str, message: String, hint: &'static str },
    /// The request itself is wrong.
    Wrong { code: i32, message: String },
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

impl Problem {
    pub(crate) fn refused(kind: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self::Refused { kind, message: message.into(), hint }
    }

    pub(crate) fn params(error: &serde_json::Error) -> Self {
        Self::Wrong { code: BAD_PARAMS, message: error.to_string() }
    }
}

/// Reads a request; the error is the answer to what is none.
pub(crate) fn read(text: &str) -> Result<Request, Value> {
    let wrong = |code, message: String, id: &Value| failure(id, &Problem::Wrong { code, message });
    let value = serde_json::from_str::<Value>(text)
        .map_err(|_| wrong(NOT_JSON, "this is no JSON".to_owned(), &Value::Null))?;
    let id = value.get("id").filter(|id| id.is_u64() || id.is_i64() || id.is_string()).cloned();
    let id = id.ok_or_else(|| {
        wrong(NO_REQUEST, "a request has a number or a text as id".to_owned(), &Value::Null)
    })?;
    serde_json::from_value(value).map_err(|error| wrong(NO_REQUEST, error.to_string(), &id))
}

/// The answer to a request.
pub(crate) fn answer(id: &Value, result: Result<Value, Problem>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(problem) => failure(id, &problem),
    }
}

/// What happens without having been asked for.
pub(crate) fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn failure(id: &Value, problem: &Problem) -> Value {
    let (code, message, data) = match problem {
        Problem::Sdk(error) => {
            let record = error.record();
            (FAILED, record.message.clone(), serde_json::to_value(record).unwrap_or_default())
        }
        Problem::Refused { kind, message, hint } => {
            let (kind, message, hint) = ((*kind).to_owned(), message.clone(), (*hint).to_owned());
            let record = ErrorRecord { kind, message: message.clone(), hint, exit: ExitClass::Usage };
            (FAILED, message, serde_json::to_value(record).unwrap_or_default())
        }
        Problem::Wrong { code, message } => (*code, message.clone(), Value::Null),
    };
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_gets_its_answer() {
        for (text, code) in [
            ("", NOT_JSON),
            ("{", NOT_JSON),
            ("[]", NO_REQUEST),
            ("{}", NO_REQUEST),
            (r#"{"id":null,"method":"status"}"#, NO_REQUEST),
            (r#"{"id":{},"method":"status"}"#, NO_REQUEST),
            (r#"{"id":1,"method":5}"#, NO_REQUEST),
            (r#"[{"id":1,"method":"status"}]"#, NO_REQUEST),
        ] {
            assert_eq!(read(text).unwrap_err()["error"]["code"], code, "{text}");
        }
        let request = read(r#"{"jsonrpc":"2.0","id":"a","method":"status"}"#).unwrap();
        assert_eq!((request.id, request.method.as_str()), (json!("a"), "status"));
    }
}
