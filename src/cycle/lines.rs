//! The lines to the primaries of a site: each is opened when it is first needed, kept and shared by whoever needs it, and
//! closed by itself when nobody has needed it for a while.
//!
//! A line that is lost while it is kept is replaced by the transport at its next use. A call that failed is remembered by
//! the command that made it ([`Calls`]), and by nobody else: the next one calls again.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, join_all};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Error;
use crate::site::model::Primary;
use crate::transport::{self, Connection, Teller};

/// How long a call may take before somebody who waits is told of it.
const A_WHILE: Duration = Duration::from_secs(1);

/// How long a line is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(300);

/// The lines to the primaries of a site.
pub struct Lines {
    switchboard: Switchboard,
    /// Lets go of those who watch for idle lines.
    _watching: DropGuard,
}

/// Who was called, by name.
struct Switchboard {
    /// By the primary's name.
    lines: Mutex<BTreeMap<String, Dialled>>,
    call: Caller,
    idle: Duration,
    unwatched: CancellationToken,
}

/// What a call opens: a connection, and the same for questions.
type Opened = (Connection, Connection);

type Call<T> = BoxFuture<'static, Result<T, Error>>;

/// Calls a primary.
type Caller = Box<dyn Fn(&Primary) -> Call<Opened> + Send + Sync>;

/// A primary that was called: the call opens its line, or has opened it.
#[derive(Clone)]
struct Dialled {
    /// As it was declared when it was called.
    primary: Primary,
    call: Shared<Call<Arc<Line>>>,
}

/// An open line.
struct Line {
    connection: Connection,
    patient: Connection,
    /// How many use it; `None` when it is closed.
    users: watch::Sender<Option<usize>>,
}

/// An open way to a primary. Its line is kept as long as this is, or a clone of it.
#[derive(Clone)]
pub struct Way(Arc<Use>);

struct Use(Arc<Line>);

impl Lines {
    /// No line is open yet. `told` hears of questions that are asked again because a line was lost, `waits` of calls that
    /// take a while. When `cancel` fires, all that runs over the lines ends.
    pub fn new(cancel: &CancellationToken, told: Teller, waits: impl Fn(&Primary) + Send + Sync + 'static) -> Self {
        let (cancel, waits) = (cancel.clone(), Arc::new(waits));
        Self::calling(IDLE, move |primary| {
            let (primary, cancel) = (primary.clone(), cancel.clone());
            let (told, waits) = (Arc::clone(&told), Arc::clone(&waits));
            let call = async move {
                let runtime = runtime_directory();
                let mut call = pin!(transport::open(&primary, &runtime, &cancel));
                let connection = match timeout(A_WHILE, &mut call).await {
                    Ok(answer) => answer?,
                    Err(_elapsed) => {
                        waits(&primary);
                        call.await?
                    }
                };
                let patient = connection.patient(&primary, &cancel, told);
                Ok((connection, patient))
            };
            call.boxed()
        })
    }

    fn calling(idle: Duration, call: impl Fn(&Primary) -> Call<Opened> + Send + Sync + 'static) -> Self {
        let unwatched = CancellationToken::new();
        let watching = unwatched.clone().drop_guard();
        let switchboard = Switchboard { lines: Mutex::default(), call: Box::new(call), idle, unwatched };
        Self { switchboard, _watching: watching }
    }

    /// The way to a primary, as it is declared now. All who ask for it while it is called get the same answer.
    pub async fn to(&self, primary: &Primary) -> Result<Way, Error> {
        loop {
            let dialled = self.switchboard.dial(primary);
            let answer = dialled.call.clone().await;
            match answer {
                Ok(line) if line.enter() => return Ok(Way(Arc::new(Use(line)))),
                // It was closed just now.
                Ok(_) => self.switchboard.forget(&dialled),
                Err(error) => {
                    self.switchboard.forget(&dialled);
                    return Err(error);
                }
            }
        }
    }

    /// Hangs up, whoever still uses a line.
    pub async fn close(&self) {
        let all = std::mem::take(&mut *self.switchboard.lock());
        let lines = all.values().filter_map(|dialled| dialled.call.peek()?.as_ref().ok());
        join_all(lines.map(|line| {
            line.users.send_replace(None);
            line.connection.close()
        }))
        .await;
    }
}

impl Switchboard {
    /// The call of a primary, which is made if nobody has.
    fn dial(&self, primary: &Primary) -> Dialled {
        let mut lines = self.lock();
        if let Some(dialled) = lines.get(&primary.name).filter(|dialled| dialled.primary == *primary) {
            return dialled.clone();
        }
        let (call, idle, unwatched) = ((self.call)(primary), self.idle, self.unwatched.clone());
        let call = async move {
            let (connection, patient) = call.await?;
            let line = Arc::new(Line { connection, patient, users: watch::Sender::new(Some(0)) });
            let watched = Arc::clone(&line);
            tokio::spawn(unwatched.run_until_cancelled_owned(async move { watched.close_when_idle(idle).await }));
            Ok(line)
        };
        let dialled = Dialled { primary: primary.clone(), call: call.boxed().shared() };
        lines.insert(primary.name.clone(), dialled.clone());
        dialled
    }

    /// Forgets a call, so that the next who needs the line calls again.
    fn forget(&self, dialled: &Dialled) {
        let mut lines = self.lock();
        if lines.get(&dialled.primary.name).is_some_and(|there| there.call.ptr_eq(&dialled.call)) {
            lines.remove(&dialled.primary.name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Dialled>> {
        // Inserting and removing cannot leave the map half-changed.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Somebody begins to use it, unless it is closed.
    fn enter(&self) -> bool {
        self.users.send_if_modified(|users| users.as_mut().map(|users| *users += 1).is_some())
    }

    /// Closes it when nobody has used it for so long.
    async fn close_when_idle(&self, idle: Duration) {
        let mut users = self.users.subscribe();
        let is_used = |users: &Option<usize>| users.is_some_and(|users| users > 0);
        while users.wait_for(|users| !is_used(users)).await.is_ok_and(|users| users.is_some()) {
            let is_used_again = timeout(idle, users.wait_for(is_used)).await.is_ok();
            let is_unused = |users: &mut Option<usize>| users.take_if(|users| *users == 0).is_some();
            if !is_used_again && self.users.send_if_modified(is_unused) {
                self.connection.close().await;
            }
        }
    }
}

impl Way {
    /// For copies, whose losses the caller bears.
    pub fn connection(&self) -> &Connection {
        &self.0.0.connection
    }

    /// For questions: what is lost on its way is asked for again.
    pub fn patient(&self) -> &Connection {
        &self.0.0.patient
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.users.send_if_modified(|users| users.as_mut().map(|users| *users -= 1).is_some());
    }
}

/// What primaries answer while one command runs: each is called when it is first needed, and once at the most.
pub struct Calls {
    lines: Arc<Lines>,
    /// By the primary's name.
    answers: Mutex<BTreeMap<String, Arc<Answer>>>,
}

type Answer = OnceCell<Result<Way, Error>>;

impl Calls {
    /// Nobody was called yet.
    pub fn over(lines: Arc<Lines>) -> Self {
        Self { lines, answers: Mutex::default() }
    }

    /// The way to a primary, or why there is none.
    pub async fn to(&self, primary: &Primary) -> Result<Way, Error> {
        let answer = {
            // Nothing in here can panic half-way.
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(answers.entry(primary.name.clone()).or_default())
        };
        let call = || async { self.lines.to(primary).await.map_err(Error::with_reason) };
        answer.get_or_init(call).await.clone()
    }
}

/// Where the sockets of ssh are made: their paths must be short.
fn runtime_directory() -> PathBuf {
    let ours = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    ours.unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::time::sleep;

    use super::*;
    use crate::error::Kind;
    use crate::transport::{ByteCounter, Fetch, Fetched, Files, Look, RemoteEntry, RemoteFile};

    /// Counts how often it is called and closed.
    #[derive(Clone, Default)]
    struct Counted {
        called: Arc<AtomicUsize>,
        closed: Arc<AtomicUsize>,
    }

    impl Counted {
        /// Lines to such primaries; a call takes a second, and fails for one that is called `down`.
        fn lines(&self) -> Lines {
            let counted = self.clone();
            Lines::calling(IDLE, move |primary| {
                let (counted, is_down) = (counted.clone(), primary.name == "down");
                let call = async move {
                    counted.called.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_secs(1)).await;
                    if is_down {
                        return Err(Error::new(Kind::Unreachable, "primary down: nobody answers"));
                    }
                    let connection = Connection { commands: None, files: Arc::new(counted), line: Arc::default() };
                    Ok((connection.clone(), connection))
                };
                call.boxed()
            })
        }

        fn counts(&self) -> (usize, usize) {
            (self.called.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
        }
    }

    #[async_trait]
    impl Files for Counted {
        async fn list(&self, _directory: &Path) -> Result<Vec<RemoteFile>, Error> {
            unimplemented!("nothing is listed")
        }

        async fn look(&self, _request: &Look) -> Result<Vec<RemoteEntry>, Error> {
            unimplemented!("nothing is looked at")
        }

        async fn fetch(
            &self,
            _request: &Fetch,
            _counter: &ByteCounter,
            _cancel: &CancellationToken,
        ) -> Result<Fetched, Error> {
            unimplemented!("nothing is copied")
        }

        async fn close(&self) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn primary(name: &str, path: &str) -> Primary {
        let text = format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: /b}}\nprimaries: {{{name}: {{path: {path}}}}}\n\
             replicas: {{main: {{primary: {name}}}}}\n"
        );
        crate::site::load("site.yaml", &text, None).unwrap().site.primaries.remove(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_opened_once_for_all_who_need_it_and_kept_for_those_who_need_it_soon() {
        let counted = Counted::default();
        let (lines, frankfurt) = (counted.lines(), primary("frankfurt", "/f"));
        assert_eq!(counted.counts(), (0, 0), "nobody needs one yet");
        let (first, second) = tokio::join!(lines.to(&frankfurt), lines.to(&frankfurt));
        drop((first.unwrap(), second.unwrap()));
        sleep(IDLE.mul_f64(0.99)).await;
        let third = lines.to(&frankfurt).await.unwrap();
        sleep(IDLE * 5).await;
        drop(third);
        sleep(IDLE.mul_f64(0.99)).await;
        assert_eq!(counted.counts(), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_nobody_needs_for_a_while_is_closed_by_itself_and_opened_again_when_it_is_needed() {
        let (counted, other) = (Counted::default(), Counted::default());
        let (lines, others, frankfurt) = (counted.lines(), other.lines(), primary("frankfurt", "/f"));
        let kept = others.to(&frankfurt).await.unwrap();
        drop(lines.to(&frankfurt).await.unwrap());
        sleep(IDLE + Duration::from_secs(1)).await;
        assert_eq!((counted.counts(), other.counts()), ((1, 1), (1, 0)));
        let way = lines.to(&frankfurt).await.unwrap();
        sleep(IDLE * 2).await;
        assert_eq!(counted.counts(), (2, 1));
        lines.close().await;
        assert_eq!(counted.counts(), (2, 2), "the end closes what is still used");
        drop((way, kept));
        sleep(IDLE * 2).await;
        assert_eq!((counted.counts(), other.counts()), ((2, 2), (1, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_called_once_in_a_command_and_again_in_the_next() {
        let counted = Counted::default();
        let (lines, down) = (Arc::new(counted.lines()), primary("down", "/d"));
        for command in 1..=3 {
            let calls = Calls::over(Arc::clone(&lines));
            let (first, second) = tokio::join!(calls.to(&down), calls.to(&down));
            let third = calls.to(&down).await;
            let errors = [first.err(), second.err(), third.err()].map(|error| error.unwrap().kind);
            assert_eq!((errors, counted.counts().0), ([Kind::Unreachable; 3], command));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_is_declared_anew_is_called_anew_and_the_old_line_closed_when_nobody_uses_it() {
        let counted = Counted::default();
        let lines = counted.lines();
        let old = lines.to(&primary("frankfurt", "/f")).await.unwrap();
        let _new = lines.to(&primary("frankfurt", "/elsewhere")).await.unwrap();
        sleep(IDLE * 2).await;
        assert_eq!(counted.counts(), (2, 0));
        drop(old);
        sleep(IDLE * 2).await;
        assert_eq!(counted.counts(), (2, 1));
    }
}
