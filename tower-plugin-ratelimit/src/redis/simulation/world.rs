//! A whole program of events, in the order of virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    super::{ask::Answer, known::Local},
    MICRO,
    arrivals::Stream,
    clock::Clock,
    dice::Dice,
    mutation::Mutation,
    program::{Program, Trouble},
    replica::{Envelope, Replica},
    server::Server,
};

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) excess: f64,
    pub(super) requests: u64,
    /// Of which were decided without asking.
    pub(super) local: u64,
    /// Of which were spent from leases.
    pub(super) leased: u64,
    /// Of which were admitted, by leases or by answers in time.
    pub(super) admitted: u64,
    pub(super) asks: u64,
}

/// Runs a program to its end.
pub(super) fn run(program: &Program, mutation: Mutation, dice: &mut Dice) -> Report {
    let mut world = World::new(program, mutation, dice);
    for stream in 0..program.streams.len() {
        world.arrive_next(stream, program.start);
    }
    for (at, trouble) in &program.troubles {
        world.at(*at, Event::Trouble(*trouble));
    }
    while let Some(((now, _), event)) = world.events.pop_first() {
        if now >= program.end {
            break;
        }
        world.happen(event, now);
    }
    world.report.excess = world.server.excess();
    world.report.asks = world.server.asks();
    world.report
}

struct World<'a> {
    program: &'a Program,
    dice: &'a mut Dice,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    server: Server,
    /// Whether it is down until then, and what comes then is lost.
    down: (u64, bool),
    replicas: Vec<Machine>,
    left: Vec<u32>,
    /// Asks that are about to go off.
    gathering: BTreeSet<(usize, usize)>,
    ids: u64,
    report: Report,
}

struct Machine {
    replica: Replica,
    version: u64,
    paused_until: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Arrive {
        stream: usize,
        replica: usize,
        together: u64,
    },
    Send(usize, usize),
    Execute(usize, Rc<Envelope>),
    Answer(usize, Rc<Envelope>, Answer, u64),
    GiveUp(usize, Rc<Envelope>),
    Trouble(Trouble),
}

impl<'a> World<'a> {
    fn new(program: &'a Program, mutation: Mutation, dice: &'a mut Dice) -> Self {
        let machine = |(number, clock): (usize, &Clock)| Machine {
            replica: Replica::new(number as u64 + 1, *clock, mutation),
            version: 1,
            paused_until: 0,
        };
        Self {
            program,
            dice,
            events: BTreeMap::new(),
            order: 0,
            server: Server::new(&program.terms, mutation),
            down: (0, false),
            replicas: program.clocks.iter().enumerate().map(machine).collect(),
            left: program.streams.iter().map(|stream| stream.left).collect(),
            gathering: BTreeSet::new(),
            ids: program.clocks.len() as u64,
            report: Report::default(),
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    fn arrive_next(&mut self, stream: usize, now: u64) {
        if self.left[stream] == 0 {
            return;
        }
        self.left[stream] -= 1;
        let Stream {
            gaps,
            together,
            replicas,
            ..
        } = &self.program.streams[stream];
        let at = now + gaps.next(self.dice);
        let together = self.dice.between(1, u64::from(*together));
        let replica = replicas.next(self.dice);
        self.at(
            at,
            Event::Arrive {
                stream,
                replica,
                together,
            },
        );
    }

    fn happen(&mut self, event: Event, now: u64) {
        let replica = match &event {
            Event::Arrive { replica, .. }
            | Event::Send(replica, _)
            | Event::Answer(replica, ..)
            | Event::GiveUp(replica, _) => Some(*replica),
            Event::Execute(..) | Event::Trouble(_) => None,
        };
        if let Some(replica) = replica {
            let paused_until = self.replicas[replica].paused_until;
            if now < paused_until {
                return self.at(paused_until, event);
            }
        }
        match event {
            Event::Arrive {
                stream,
                replica,
                together,
            } => {
                for _ in 0..together {
                    self.request(stream, replica, now);
                }
                self.arrive_next(stream, now);
            }
            Event::Send(replica, key) => self.send(replica, key, now),
            Event::Execute(replica, envelope) => self.execute(replica, envelope, now),
            Event::Answer(replica, envelope, answer, made_at) => {
                let terms = &self.program.terms[envelope.key];
                let machine = &mut self.replicas[replica].replica;
                let handed = machine.answered(&envelope, terms, &answer, made_at, now);
                self.report.admitted += u64::from(handed.admitted);
                self.ask_on(replica, envelope.key, now);
            }
            Event::GiveUp(replica, envelope) => {
                self.replicas[replica].replica.gave_up(&envelope);
                self.ask_on(replica, envelope.key, now);
            }
            Event::Trouble(trouble) => self.trouble(trouble),
        }
    }

    fn request(&mut self, stream: usize, replica: usize, now: u64) {
        let Stream { keys, costs, .. } = &self.program.streams[stream];
        let key = keys.next(self.dice);
        let cost = self.dice.pick(costs);
        self.report.requests += 1;
        let Machine {
            replica: machine,
            version,
            ..
        } = &mut self.replicas[replica];
        match machine.decide(key, *version, now, cost) {
            Local::Spend { low } => {
                self.server.spent(key, now / MICRO, cost);
                self.report.local += 1;
                self.report.leased += 1;
                self.report.admitted += 1;
                if low {
                    self.gather(replica, key, now);
                }
            }
            Local::Deny => self.report.local += 1,
            Local::Ask => {
                machine.wait(key, now, cost, self.program.patience);
                self.gather(replica, key, now);
            }
        }
    }

    /// Whoever came while an ask was on its way goes with the next.
    fn ask_on(&mut self, replica: usize, key: usize, now: u64) {
        if self.replicas[replica].replica.has_waiting(key) {
            self.gather(replica, key, now);
        }
    }

    fn gather(&mut self, replica: usize, key: usize, now: u64) {
        let is_asking = self.replicas[replica].replica.is_asking(key);
        if !is_asking && self.gathering.insert((replica, key)) {
            let at = now + self.dice.between(0, self.program.gathering);
            self.at(at, Event::Send(replica, key));
        }
    }

    fn send(&mut self, replica: usize, key: usize, now: u64) {
        self.gathering.remove(&(replica, key));
        let Machine {
            replica: machine,
            version,
            ..
        } = &mut self.replicas[replica];
        let terms = &self.program.terms[key];
        let envelope = Rc::new(machine.send(key, terms, *version, now, None));
        let network = &self.program.network;
        if let Some(way) = network.ask(self.dice) {
            self.at(now + way, Event::Execute(replica, Rc::clone(&envelope)));
            if let Some(later) = network.again(self.dice) {
                let at = now + way + later;
                self.at(at, Event::Execute(replica, Rc::clone(&envelope)));
            }
        }
        let gives_up = now + self.program.patience;
        self.at(gives_up, Event::GiveUp(replica, envelope));
    }

    fn execute(&mut self, replica: usize, envelope: Rc<Envelope>, now: u64) {
        let (until, loses) = self.down;
        if now < until {
            if !loses {
                self.at(until, Event::Execute(replica, envelope));
            }
            return;
        }
        let made_at = now / MICRO;
        let answer = self.server.execute(&envelope, made_at);
        if let Some(way) = self.program.network.answer(self.dice) {
            let event = Event::Answer(replica, envelope, answer, made_at);
            self.at(now + way, event);
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Pause { replica, until } => self.replicas[replica].paused_until = until,
            Trouble::Crash { replica } => {
                self.ids += 1;
                self.replicas[replica].replica.crash(self.ids);
            }
            Trouble::Version { replica } => self.replicas[replica].version += 1,
            Trouble::ServerPause { until, loses } => self.down = (until, loses),
        }
    }
}
