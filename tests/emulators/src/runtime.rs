//! The Lambda Runtime API, on which the built binary runs as it does in Lambda.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use crate::server::{Server, lock};

const ROOT: &str = "/2018-06-01/runtime";
const REGION: &str = "eu-central-1";
const FUNCTION: &str = "acs-recording-archiver";
const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:acs-recording-archiver";
const LOG_GROUP: &str = "/aws/lambda/acs-recording-archiver";
const LOG_STREAM: &str = "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef";
const TRACE: &str = "Root=1-6b0459c3-0123456789abcdef01234567;Sampled=0";

type Answer = Result<Bytes, Bytes>;

/// A Lambda Runtime API on loopback for one function process at a time. The process may die at any
/// moment; the next process that polls takes over. Clones are the same server; it stops when the
/// last one is dropped.
#[derive(Clone)]
pub struct RuntimeApi {
    server: Arc<Server>,
    state: Arc<State>,
}

struct State {
    /// The invocations that no process has taken yet.
    queue: mpsc::UnboundedSender<Invocation>,
    queued: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    /// The receivers of the answers that are due, by request id.
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    init_errors: Mutex<Vec<Bytes>>,
    polls: watch::Sender<Polls>,
    invocations: AtomicU64,
}

struct Invocation {
    payload: Bytes,
    deadline: SystemTime,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Polls {
    begun: u64,
    waiting: u64,
}

impl RuntimeApi {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> RuntimeApi {
        let (queue, queued) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            queue,
            queued: AsyncMutex::new(queued),
            running: Mutex::default(),
            init_errors: Mutex::default(),
            polls: watch::Sender::default(),
            invocations: AtomicU64::new(0),
        });
        let answering = Arc::clone(&state);
        let server = Server::serve(move |request| {
            let state = Arc::clone(&answering);
            async move { Ok(state.answer(request).await) }
        });
        RuntimeApi {
            server: Arc::new(server.await),
            state,
        }
    }

    /// `127.0.0.1:PORT`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// The environment variables that Lambda sets for the function's process.
    ///
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", LOG_GROUP),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", LOG_STREAM),
            ("AWS_REGION", REGION),
            ("_HANDLER", "bootstrap"),
        ];
        let mut variables = vec![("AWS_LAMBDA_RUNTIME_API", self.address())];
        variables.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        variables
    }

    /// Hands the payload to the next poll of the function and returns the answer. Dropping the
    /// future gives the invocation up; no process receives it later.
    ///
    /// # Errors
    ///
    /// Fails with the error that the function reported for the invocation.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        deadline: SystemTime,
    ) -> Result<Bytes, Bytes> {
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation {
            payload: payload.into(),
            deadline,
            answer,
        };
        // Neither channel can be closed: the state holds the receiver of the queue, and the sender
        // of each answer that is due.
        let _ = self.state.queue.send(invocation);
        let Ok(answer) = answered.await else {
            unreachable!("an invocation is kept until it is answered");
        };
        answer
    }

    /// Waits until a process polls for an event: it has started, or answered its last event.
    pub async fn wait_for_poll(&self) {
        // Fails only if the sender is dropped, and the state holds it.
        let _ = self
            .state
            .polls
            .subscribe()
            .wait_for(|polls| polls.waiting > 0)
            .await;
    }

    /// The errors reported by processes that could not start, oldest first.
    pub fn init_errors(&self) -> Vec<Bytes> {
        lock(&self.state.init_errors).clone()
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head
            .uri
            .path()
            .strip_prefix(ROOT)
            .unwrap_or_default()
            .to_owned();
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        match (&head.method, steps.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.finish(id, Ok(body)).await,
            (&Method::POST, ["invocation", id, "error"]) => self.finish(id, Err(body)).await,
            (&Method::POST, ["init", "error"]) => {
                if let Ok(body) = body.collect().await {
                    lock(&self.init_errors).push(body.to_bytes());
                }
                status(StatusCode::ACCEPTED)
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let poll = Poll::begin(&self.polls);
        let mut polls = self.polls.subscribe();
        let invocation = tokio::select! {
            // In this order, so that a superseded poll does not take an event that is queued
            // already.
            biased;
            // The server may not have noticed yet that a process was killed. The poll of that
            // process must not take the event, so a later poll ends all earlier ones.
            _ = polls.wait_for(|polls| polls.begun > poll.number) => {
                return status(StatusCode::GONE);
            }
            invocation = self.take() => invocation,
        };
        let Invocation {
            payload,
            deadline,
            answer,
        } = invocation;
        let id = format!(
            "00000000-0000-4000-8000-{:012}",
            self.invocations.fetch_add(1, Ordering::Relaxed) + 1
        );
        lock(&self.running).insert(id.clone(), answer);
        let deadline = deadline
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", ARN)
            .header("lambda-runtime-trace-id", TRACE)
            .body(Full::new(payload))
            .expect("the headers are valid")
    }

    async fn take(&self) -> Invocation {
        let mut queued = self.queued.lock().await;
        loop {
            let invocation = queued.recv().await.expect("the state holds the sender");
            // Closed if the caller of `invoke` has dropped its future.
            if !invocation.answer.is_closed() {
                return invocation;
            }
        }
    }

    async fn finish(&self, id: &str, body: Result<Incoming, Incoming>) -> Response<Full<Bytes>> {
        let failed = body.is_err();
        let (Ok(body) | Err(body)) = body;
        // A process that is killed while it answers leaves an incomplete body, which is no answer.
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        let Some(answer) = lock(&self.running).remove(id) else {
            return status(StatusCode::BAD_REQUEST);
        };
        // The caller of `invoke` may have dropped its future.
        let _ = answer.send(if failed { Err(body) } else { Ok(body) });
        status(StatusCode::ACCEPTED)
    }
}

/// One long poll. hyper drops it with the connection, so that a dead process is not counted as
/// waiting.
struct Poll<'a> {
    polls: &'a watch::Sender<Polls>,
    number: u64,
}

impl<'a> Poll<'a> {
    fn begin(polls: &'a watch::Sender<Polls>) -> Self {
        let mut number = 0;
        polls.send_modify(|polls| {
            polls.begun += 1;
            polls.waiting += 1;
            number = polls.begun;
        });
        Poll { polls, number }
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.polls.send_modify(|polls| polls.waiting -= 1);
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    response
}
