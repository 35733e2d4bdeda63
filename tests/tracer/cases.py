"""The battery: small programs and what must be reported of each, one per line of the tracer's promises.

A case starts in a folder that holds `given`, runs its program (C, shell or Python) and states what the
report must say about that folder. `reads`, `writes`, `deleted` and `renames` are exact: a file too many
is as wrong as one too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    name: str
    c: str = ""
    sh: str = ""
    py: str = ""
    given: Mapping[str, str] = field(default_factory=lambda: {"in": "content"})
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    executed: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    blind: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """Files whose digest from before the job must be there; all others must have none."""
    temporaries: int | None = None
    processes: int | None = None
    connects: tuple[tuple[str, int], ...] = ()
    """Internet addresses and ports."""
    status: int = 0
    root: bool = False
    machine: str = ""
    """The one machine that has what the program calls."""
    shares_blocks: bool = False
    """It needs a file system that does, as btrfs and XFS do."""
    flags: tuple[str, ...] = ()
    differs: bool = False
    """The output may differ from an untraced run (it names processes, say)."""


OPENS = [
    Case("open", c='int main(){ drain(must(syscall(SYS_open,"in",O_RDONLY),"open")); }', reads=("in",), machine="x86_64"),
    Case("openat_cwd", c='int main(){ drain(must(openat(AT_FDCWD,"in",O_RDONLY),"openat")); }', reads=("in",)),
    Case(
        "openat_directory",
        c='int main(){ int d=must(open("d",O_RDONLY|O_DIRECTORY),"d"); drain(must(openat(d,"in",O_RDONLY),"in")); }',
        given={"d/in": "x"}, reads=("d/in",), listed=("d",),
    ),
    Case(
        "openat_path_directory",
        c='int main(){ int d=must(open("d",O_PATH),"d"); drain(must(openat(d,"../in",O_RDONLY),"in")); }',
        given={"d/x": "x", "in": "y"}, reads=("in",),
    ),
    Case(
        "openat2",
        c="""int main(){ struct open_how h={.flags=O_RDONLY};
             drain(must(syscall(SYS_openat2,AT_FDCWD,"in",&h,sizeof h),"openat2"));
             struct open_how w={.flags=O_WRONLY|O_CREAT,.mode=0644};
             must(syscall(SYS_openat2,AT_FDCWD,"out",&w,sizeof w),"openat2"); }""",
        reads=("in",), writes=("out",),
    ),
    Case(
        "openat2_in_root",
        c="""int main(){ int d=must(open("d",O_PATH),"d"); struct open_how h={.flags=O_RDONLY,.resolve=RESOLVE_IN_ROOT};
             drain(must(syscall(SYS_openat2,d,"/in",&h,sizeof h),"openat2")); }""",
        given={"d/in": "x", "in": "y"}, reads=("d/in",),
    ),
    Case("creat", c='int main(){ must(creat("out",0644),"creat"); }', writes=("out",)),
    Case("chdir", c='int main(){ take("in"); must(chdir("d"),"d"); take("in"); must(chdir(".."),".."); put("out","x"); }',
         given={"in": "a", "d/in": "b"}, reads=("in", "d/in"), writes=("out",)),
    Case("fchdir", c='int main(){ int d=must(open("d",O_PATH),"d"); must(fchdir(d),"d"); take("in"); }',
         given={"d/in": "b"}, reads=("d/in",)),
    Case(
        "chdir_by_thread",
        c="""static void *t(void*x){ must(chdir("d"),"d"); return 0; }
             int main(){ pthread_t p; take("in"); pthread_create(&p,0,t,0); pthread_join(p,0); take("in"); }""",
        given={"in": "a", "d/in": "b"}, reads=("in", "d/in"),
    ),
    Case(
        "fchdir_by_thread",
        c="""static void *t(void*x){ must(fchdir((long)x),"d"); return 0; }
             int main(){ long d=must(open("d",O_PATH),"d"); pthread_t p; pthread_create(&p,0,t,(void*)d); pthread_join(p,0); take("in"); put("out","x"); }""",
        given={"in": "a", "d/in": "b"}, reads=("d/in",), writes=("d/out",),
    ),
    Case("chdir_of_child", sh='(cd d; read x < in; echo "$x"); read y < in; echo "$y"',
         given={"in": "a", "d/in": "b"}, reads=("in", "d/in")),
    Case(
        "unshared_cwd",
        c="""static void *t(void*x){ must(unshare(CLONE_FS),"unshare"); must(chdir("d"),"d"); take("in"); return 0; }
             int main(){ pthread_t p; pthread_create(&p,0,t,0); pthread_join(p,0); take("in2"); }""",
        given={"in2": "a", "d/in": "b"}, reads=("in2", "d/in"),
    ),
    Case("symlink_chain", sh="ln -s in a; ln -s a b; cat b", reads=("in",), writes=("a", "b")),
    Case("symlinked_directory", sh="ln -s d e; cat e/in e/../in", given={"d/in": "x", "in": "y"},
         reads=("d/in", "in"), writes=("e",)),
    Case("symlink_swapped", sh="ln -s a now; cat now/f; rm now; ln -s b now; cat now/f",
         given={"a/f": "1", "b/f": "2"}, reads=("a/f", "b/f"), writes=("now",)),
    Case("directory_swapped", sh="cat d/f; mv d e; mv b d; cat d/f", given={"d/f": "1", "b/f": "2"},
         reads=("d/f", "b/f"), writes=("e", "e/f", "d", "d/f"), deleted=("b", "b/f"),
         renames={"e": "d", "e/f": "d/f", "d": "b", "d/f": "b/f"}),
    Case("cwd_renamed", c='int main(){ must(chdir("d"),"d"); take("in"); must(rename("../d","../e"),"mv"); put("out","x"); }',
         given={"d/in": "1"}, reads=("d/in",), writes=("e", "e/in", "e/out"), deleted=("d", "d/in"),
         renames={"e": "d", "e/in": "d/in"}),
    Case("hard_link", sh="ln in two; cat two", reads=("in",), writes=("two",)),
    Case(
        "proc_self_fd",
        c="""int main(){ int f=must(open("in",O_PATH),"in"); char n[64]; sprintf(n,"/proc/self/fd/%d",f); take(n); }""",
        reads=("in",),
    ),
    Case(
        "dev_fd",
        c="""int main(){ int f=must(open("in",O_PATH),"in"); char n[64]; sprintf(n,"/dev/fd/%d",f); take(n);
             sprintf(n,"/proc/thread-self/fd/%d",f); take(n); }""",
        reads=("in",),
    ),
    Case(
        "by_handle",
        c="""int main(){ char room[sizeof(struct file_handle)+128]; struct file_handle*h=(void*)room; h->handle_bytes=128; int m;
             must(name_to_handle_at(AT_FDCWD,"in",h,&m,0),"handle"); int d=must(open(".",O_PATH),".");
             int r=open(".",O_RDONLY|O_DIRECTORY); int f=open_by_handle_at(r,h,O_RDONLY);
             if(f<0){ perror("by_handle"); return 98; } drain(f); }""",
        reads=("in",), listed=(".",), root=True,
    ),
    Case("redirected_by_shell", sh="cat < in > out; cat < in >> out", reads=("in",), writes=("out",)),
    Case(
        "descriptor_over_socket",
        c="""int main(){ int s[2]; must(socketpair(AF_UNIX,SOCK_STREAM,0,s),"pair"); pid_t c=fork();
             char b[CMSG_SPACE(sizeof(int))]={0}; char one='x'; struct iovec v={&one,1};
             struct msghdr m={.msg_iov=&v,.msg_iovlen=1,.msg_control=b,.msg_controllen=sizeof b};
             if(!c){ must(recvmsg(s[1],&m,0),"recv"); int f; memcpy(&f,CMSG_DATA(CMSG_FIRSTHDR(&m)),sizeof f); drain(f); return 0; }
             int f=must(open("in",O_RDONLY),"in"); struct cmsghdr*h=CMSG_FIRSTHDR(&m); h->cmsg_level=SOL_SOCKET;
             h->cmsg_type=SCM_RIGHTS; h->cmsg_len=CMSG_LEN(sizeof f); memcpy(CMSG_DATA(h),&f,sizeof f);
             must(sendmsg(s[0],&m,0),"send"); return finish(c); }""",
        reads=("in",),
    ),
    Case("chroot", c='int main(){ must(chroot("jail"),"chroot"); must(chdir("/"),"/"); take("/abs"); take("/sub/rel"); put("/out","x"); }',
         given={"jail/real": "r", "jail/sub/rel": "b", "jail/abs@": "/real"},
         reads=("jail/real", "jail/sub/rel"), writes=("jail/out",), root=True),
    Case(
        "mount_namespace",
        c="""int main(){ must(unshare(CLONE_NEWNS),"unshare"); must(mount("none","/",0,MS_REC|MS_PRIVATE,0),"private");
             must(mount("real","seen",0,MS_BIND,0),"bind"); take("seen/in"); put("seen/out","x"); }""",
        given={"real/in": "r", "seen/x": ""}, reads=("real/in",), writes=("real/out",), root=True,
    ),
    Case(
        "entered_namespace",
        c="""int main(){ int p[2],q[2]; char x; must(pipe(p),"pipe"); must(pipe(q),"pipe"); pid_t c=fork(); if(!c){ must(unshare(CLONE_NEWNS),"unshare");
             must(mount("none","/",0,MS_REC|MS_PRIVATE,0),"private"); must(mount("real","seen",0,MS_BIND,0),"bind"); must(write(p[1],"x",1),"w"); read(q[0],&x,1); return 0; }
             char n[64],w[4096]; getcwd(w,sizeof w); must(read(p[0],&x,1),"r"); sprintf(n,"/proc/%d/ns/mnt",c); int f=must(open(n,O_RDONLY),"ns");
             must(setns(f,CLONE_NEWNS),"setns"); must(chdir(w),"cd"); take("seen/in"); put("seen/out","x"); must(write(q[1],"x",1),"w"); return finish(c); }""",
        given={"real/in": "r", "seen/x": ""}, reads=("real/in",), writes=("real/out",), root=True,
    ),
    Case(
        "pivoted_root",
        c="""int main(){ must(unshare(CLONE_NEWNS),"unshare"); must(mount("none","/",0,MS_REC|MS_PRIVATE,0),"private"); must(mount("jail","jail",0,MS_BIND,0),"bind");
             if(syscall(SYS_pivot_root,"jail","jail/old")) return 98; must(chdir("/"),"/"); take("/in"); put("/out","x"); }""",
        given={"jail/in": "r", "jail/old/": ""}, reads=("jail/in",), writes=("jail/out",), root=True,
    ),
    Case("user_namespace", c="""int main(){ if(unshare(CLONE_NEWUSER|CLONE_NEWNS)) return 98; take("in"); put("out","x"); }""", reads=("in",), writes=("out",)),
    Case(
        "private_file_system",
        c="""int main(){ must(unshare(CLONE_NEWNS),"unshare"); must(mount("none","/",0,MS_REC|MS_PRIVATE,0),"private");
             must(mount("none","d","tmpfs",0,0),"tmpfs"); put("d/out","x"); take("d/out"); }""",
        given={"d/x": ""}, blind=("namespace",), root=True,
    ),
    Case(
        "pid_namespace",
        c="""int main(){ must(unshare(CLONE_NEWPID),"unshare"); pid_t c=fork(); if(!c){ take("in"); put("out","x");
             pid_t d=fork(); if(!d){ take("in2"); return 3; } return finish(d); } return finish(c); }""",
        given={"in": "1", "in2": "2"}, reads=("in", "in2"), writes=("out",), status=3, root=True, processes=3,
    ),
    Case("removed_cwd", c='int main(){ must(chdir("d"),"d"); must(rmdir("../d"),"rm"); open("x",O_RDONLY); int f=open("/proc/self/cwd/../in",O_RDONLY); }',
         given={"d/": "", "in": "1"}, reads=("in",), deleted=("d",)),
    Case("odd_spellings", c='int main(){ take("d//in"); take(".//d/./in"); take("d/../d/in"); char n[5000]; getcwd(n,4096); strcat(n,"//d/in"); take(n); take(n); put("d//./out","x"); }',
         given={"d/in": "1"}, reads=("d/in",), writes=("d/out",)),
    Case("descriptor_of_a_renamed_directory", c='int main(){ int d=must(open("d",O_PATH),"d"); must(rename("d","e"),"mv"); drain(must(openat(d,"in",O_RDONLY),"in")); }',
         given={"d/in": "1"}, reads=("d/in",), writes=("e", "e/in"), deleted=("d", "d/in"), renames={"e": "d", "e/in": "d/in"}),
    Case("directory_became_a_link", sh="cat d/in d/in; mv d e; ln -s f d; cat d/in d/in",
         given={"d/in": "1", "f/in": "2"}, reads=("d/in", "f/in"), writes=("e", "e/in", "d"), deleted=("d/in",), renames={"e": "d", "e/in": "d/in"}),
    Case("file_became_a_link", sh="cat in in; rm in; ln -s other in; cat in in",
         given={"in": "1", "other": "2"}, reads=("in", "other"), writes=("in",), before=("in",)),
    Case("static_program", c='int main(){ take("in"); put("out","x"); }', flags=("-static",), reads=("in",), writes=("out",)),
    Case("strange_names", c=r'int main(){ take("a\nb"); put("\xff\xfe out","x"); put("%41","x"); take("\"q\\"); }',
         given={"a\nb": "1", '"q\\': "2"}, reads=("a\nb", '"q\\'), writes=("\xff\xfe out", "%41")),
    Case(
        "name_too_long_for_one_call",
        c="""int main(){ char n[201]; memset(n,'d',200); n[200]=0; int i; for(i=0;i<25;i++){ must(mkdir(n,0755),"mkdir"); must(chdir(n),"cd"); }
             put("out","x"); take("out"); for(i=0;i<25;i++) { unlink("out"); must(chdir(".."),".."); must(rmdir(n),"rmdir"); } take("in"); }""",
        reads=("in",), blind=("path_unreadable",),
    ),
    Case("thirty_two_bit_call", c="""int main(){ long r; char*n=mmap(0,4096,3,MAP_PRIVATE|MAP_ANONYMOUS|MAP_32BIT,-1,0); strcpy(n,"in");
             asm volatile("int $0x80":"=a"(r):"a"(5),"b"(n),"c"(0),"d"(0):"memory","r8","r9","r10","r11"); must(r,"int80"); drain(r);
             strcpy(n,"out"); asm volatile("int $0x80":"=a"(r):"a"(8),"b"(n),"c"(0644):"memory","r8","r9","r10","r11"); must(r,"creat"); }""",
         reads=("in",), writes=("out",), machine="x86_64"),
]  # fmt: skip

EFFECTS = [
    Case("only_looked_at", c='int main(){ must(open("in",O_PATH),"in"); struct stat s; stat("in",&s); }'),
    Case("read_write_but_only_read", c='int main(){ drain(must(open("in",O_RDWR),"in")); }',
         reads=("in",), writes=("in",), before=("in",)),
    Case("write_only_unchanged", c='int main(){ must(open("in",O_WRONLY),"in"); }', writes=("in",), before=("in",)),
    Case("appended", sh="echo more >> in", writes=("in",), before=("in",)),
    Case("truncated_unread", sh="echo new > in", writes=("in",)),
    Case("truncated_by_reading_open", c='int main(){ must(open("in",O_RDONLY|O_TRUNC),"in"); }', writes=("in",)),
    Case("created_exclusively", c='int main(){ must(open("out",O_CREAT|O_EXCL|O_RDWR,0644),"o"); open("in",O_CREAT|O_EXCL|O_RDWR,0644); }',
         writes=("out",), failed=(("in", "EEXIST"),)),
    Case("create_flag_on_what_is_there", c='int main(){ drain(must(open("in",O_RDONLY|O_CREAT,0644),"in")); }', reads=("in",)),
    Case("created_through_a_dangling_link", c='int main(){ put("link","x"); take("link"); }', given={"link@": "out"}, writes=("out",)),
    Case("written_through_a_link", sh="cat link; echo more >> link", given={"in": "1", "link@": "in"}, reads=("in",), writes=("in",), before=("in",)),
    Case("truncated_by_descriptor", c='int main(){ int f=must(open("in",O_RDWR),"in"); must(ftruncate(f,2),"cut"); }', reads=("in",), writes=("in",), before=("in",)),
    Case("shared_mapping", c="""int main(){ int f=must(open("in",O_RDWR),"in"); char*m=mmap(0,4,PROT_READ|PROT_WRITE,MAP_SHARED,f,0);
             close(f); m[0]='C'; }""", reads=("in",), writes=("in",), before=("in",)),
    Case("listed", c='int main(){ DIR*d=opendir("d"); while(readdir(d)); closedir(d); }', given={"d/x": ""}, listed=("d",)),
    Case("absent", c='int main(){ open("none",O_RDONLY); open("in/x",O_RDONLY); open("d",O_RDONLY|O_NOFOLLOW); open("none/out",O_WRONLY|O_CREAT,0644); }',
         given={"in": "1", "d@": "in"},
         failed=(("none", "ENOENT"), ("in/x", "ENOTDIR"), ("d", "ELOOP"), ("none/out", "ENOENT"))),
    Case("refused", c='int main(){ chmod("in",0); must(setuid(65534),"setuid"); if(open("in",O_RDONLY)>=0) return 1; }',
         failed=(("in", "EACCES"),), root=True),
    Case("fifo", sh="mkfifo p; cat p > out & echo x > p; wait", writes=("p", "out")),
    Case("read_by_mapping", c='int main(){ int f=must(open("in",O_RDONLY),"in"); mmap(0,4,PROT_READ,MAP_PRIVATE,f,0); }', reads=("in",)),
    Case("written_then_read_back", sh="echo new > in; cat in", writes=("in",)),
]  # fmt: skip

NAMES = [
    Case("written_aside_then_renamed", sh="echo x > t; mv t out", writes=("out",), temporaries=0),
    Case("input_renamed", sh="cat in; mv in out", reads=("in",), writes=("out",), deleted=("in",), renames={"out": "in"}),
    Case("renamed_over_what_was_read", sh="cat in; echo new > t; mv t in; cat in", reads=("in",), writes=("in",), before=("in",)),
    Case("renamed_over_unread", sh="echo new > t; mv t in; cat in", writes=("in",)),
    Case("renamed_back", sh="mv in x; mv x in", writes=("in",)),
    Case("read_under_a_new_name", sh="mv in x; cat x", reads=("in",), writes=("x",), deleted=("in",), renames={"x": "in"}),
    Case("changed_under_a_new_name", sh="cat in; mv in x; echo more >> x", reads=("in",), writes=("x",), deleted=("in",), renames={"x": "in"}, before=("in",)),
    Case("rename_chain", sh="echo 1 > a; mv a b; mv b c; mv c out", writes=("out",), temporaries=0),
    Case("exchanged", c='int main(){ take("in"); put("new","x"); must(renameat2(AT_FDCWD,"new",AT_FDCWD,"in",RENAME_EXCHANGE),"x"); }',
         reads=("in",), writes=("in", "new"), renames={"new": "in"}),
    Case("noreplace_refused", c='int main(){ put("t","x"); if(!renameat2(AT_FDCWD,"t",AT_FDCWD,"in",RENAME_NOREPLACE)) return 1; }', writes=("t",)),
    Case("noreplace", c='int main(){ put("t","x"); must(renameat2(AT_FDCWD,"t",AT_FDCWD,"out",RENAME_NOREPLACE),"x"); }', writes=("out",), temporaries=0),
    Case("directories_exchanged", c='int main(){ take("d/in"); must(mkdir("e",0755),"e"); put("e/out","x"); must(renameat2(AT_FDCWD,"d",AT_FDCWD,"e",RENAME_EXCHANGE),"x"); }',
         given={"d/in": "1"}, reads=("d/in",), writes=("d", "d/out", "e", "e/in"), deleted=("d/in",), renames={"e": "d", "e/in": "d/in"}),
    Case("renameat", c='int main(){ int d=must(open("d",O_PATH),"d"); put("d/t","x"); must(renameat(d,"t",AT_FDCWD,"out"),"mv"); }',
         given={"d/x": ""}, writes=("out",)),
    Case("directory_with_outputs_renamed", sh="mkdir d; echo 1 > d/a; mkdir d/s; echo 2 > d/s/b; mv d e", writes=("e", "e/a", "e/s", "e/s/b"), temporaries=0),
    Case("link", sh="ln in out", reads=("in",), writes=("out",)),
    Case("linked_then_changed_by_the_other_name", sh="cat in; ln in two; echo more >> two", reads=("in",), writes=("two",), before=("in",)),
    Case("unnamed_and_never_linked", c="""int main(){ int f=open(".",O_TMPFILE|O_RDWR,0644); if(f<0) return 98; must(write(f,"x",1),"w"); }"""),
    Case("made_by_mknod", c='int main(){ must(mknod("out",S_IFREG|0644,0),"mknod"); must(mknodat(AT_FDCWD,"t",S_IFREG|0644,0),"mknodat"); unlink("t"); }', writes=("out",), temporaries=1),
    Case("unnamed_then_linked", c="""int main(){ int f=open(".",O_TMPFILE|O_RDWR,0644); if(f<0) return 98; must(write(f,"x",1),"w"); char n[64];
             sprintf(n,"/proc/self/fd/%d",f); must(linkat(AT_FDCWD,n,AT_FDCWD,"out",AT_SYMLINK_FOLLOW),"linkat"); }""", writes=("out",)),
    Case("unnamed_then_linked_by_descriptor", c="""int main(){ int f=open(".",O_TMPFILE|O_RDWR,0644); if(f<0) return 98; must(write(f,"x",1),"w");
             must(linkat(f,"",AT_FDCWD,"out",AT_EMPTY_PATH),"linkat"); }""", writes=("out",), root=True),
    Case("symlink", sh="ln -s in out", writes=("out",)),
    Case("unlinked_unread", sh="rm in", deleted=("in",)),
    Case("unlinked_after_reading", sh="cat in; rm in", reads=("in",), deleted=("in",), before=("in",)),
    Case("unlinked_then_made_again", sh="cat in; rm in; echo new > in; cat in", reads=("in",), writes=("in",), before=("in",)),
    Case("temporary", sh="echo x > t; cat t; rm t", temporaries=1),
    Case("many_temporaries", py="import os\nfor i in range(500):\n open('t%d'%i,'w').close(); os.unlink('t%d'%i)", temporaries=500),
    Case("bound_socket", py="import socket,os\nfor n in 'st':\n socket.socket(socket.AF_UNIX).bind(n)\nos.unlink('t')", writes=("s",), temporaries=1),
    Case("directories", sh="mkdir d e; rmdir d old", given={"old/": ""}, writes=("e",), deleted=("old",)),
    Case("truncated_by_path", c='int main(){ must(truncate("in",3),"truncate"); must(truncate("two",0),"truncate"); }',
         given={"in": "content", "two": "x"}, writes=("in", "two"), before=("in",)),
    Case("copy_file_range", c='int main(){ int i=must(open("in",O_RDONLY),"in"),o=must(open("out",O_WRONLY|O_CREAT,0644),"out"); must(copy_file_range(i,0,o,0,7,0),"copy"); }',
         reads=("in",), writes=("out",)),
    Case("sendfile", c='int main(){ int i=must(open("in",O_RDONLY),"in"),o=must(open("out",O_WRONLY|O_CREAT,0644),"out"); must(sendfile(o,i,0,7),"sendfile"); }',
         reads=("in",), writes=("out",)),
    Case("splice", c='int main(){ int p[2]; must(pipe(p),"pipe"); int i=must(open("in",O_RDONLY),"in"),o=must(open("out",O_WRONLY|O_CREAT,0644),"out"); must(splice(i,0,p[1],0,7,0),"splice"); must(splice(p[0],0,o,0,7,0),"splice"); }',
         reads=("in",), writes=("out",)),
    Case("reflink", c='int main(){ int i=must(open("in",O_RDONLY),"in"),o=must(open("out",O_WRONLY|O_CREAT,0644),"out"); must(ioctl(o,FICLONE,i),"clone"); }',
         reads=("in",), writes=("out",), shares_blocks=True),
    Case("reflink_of_a_part", c="""int main(){ int i=must(open("in",O_RDONLY),"in"),o=must(open("old",O_RDWR),"old");
             struct file_clone_range part={i,0,0,4096}; must(ioctl(o,FICLONERANGE,&part),"clone"); }""",
         given={"in": "content" * 2000, "old": "what was there" * 1000}, reads=("in", "old"), writes=("old",), before=("old",), shares_blocks=True),
    Case("sqlite_in_place", py="import sqlite3\nd=sqlite3.connect('db')\nd.execute('create table t(x)')\nd.executemany('insert into t values(?)',[(i,) for i in range(99)])\nd.commit()", writes=("db",), listed=(".",)),
    Case("read_then_truncated", sh='x=$(cat in); echo "$x more" > in', reads=("in",), writes=("in",), before=("in",)),
    Case("update_in_place", py="f=open('in','r+b')\nf.seek(3)\nf.write(b'X')\nf.close()", reads=("in",), writes=("in",), before=("in",)),
    Case("write_and_read_anew", py="f=open('in','w+')\nf.write('x')\nf.seek(0)\nf.read()\nf.close()", writes=("in",)),
]  # fmt: skip

# Installs a listener that hears of getppid, has a thread answer it, and reads and writes files meanwhile.
LISTENER = """static int listener; static void*answer(void*x){ struct seccomp_notif q; struct seccomp_notif_resp a; for(;;){ memset(&q,0,sizeof q); memset(&a,0,sizeof a);
             while(!__atomic_load_n(&listener,__ATOMIC_SEQ_CST)) usleep(100); if(ioctl(listener,SECCOMP_IOCTL_NOTIF_RECV,&q)) return 0;
             a.id=q.id; a.val=4242; ioctl(listener,SECCOMP_IOCTL_NOTIF_SEND,&a); } }
             static int listened(void){ struct sock_filter f[]={BPF_STMT(BPF_LD|BPF_W|BPF_ABS,0),BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,SYS_getppid,0,1),
             BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_USER_NOTIF),BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW)}; struct sock_fprog p={4,f};
             pthread_t t; pthread_create(&t,0,answer,0); prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0);
             __atomic_store_n(&listener,must(syscall(SYS_seccomp,SECCOMP_SET_MODE_FILTER,SECCOMP_FILTER_FLAG_NEW_LISTENER,&p),"listener"),__ATOMIC_SEQ_CST);
             for(int i=0;i<50;i++){ if(syscall(SYS_getppid)!=4242) return 0; take("in"); put("out","x"); } return 1; }
"""

PROGRAMS = [
    Case("execve", c='int main(){ must(execve("./tool",(char*[]){"tool","a b",0},environ),"exec"); }',
         given={"tool!": "#!/bin/sh\necho \"$1\" > out\nexit 5\n"}, reads=("tool",), executed=("tool",), writes=("out",), status=5, processes=1),
    Case("script_chain", sh="./one x", given={"one!": "#!./two\n", "two!": "#!/bin/sh\necho $# > out\n"},
         reads=("one", "two"), executed=("one", "two"), writes=("out",)),
    Case("path_search", sh="PATH=$PWD/a:$PWD/b:$PATH; tool", given={"a/x": "", "b/tool!": "#!/bin/sh\n"},
         reads=("b/tool",), executed=("b/tool",)),
    Case("execveat_descriptor", c='int main(){ int f=must(open("/bin/true",O_PATH|O_CLOEXEC),"t"); must(syscall(SYS_execveat,f,"",(char*[]){"t",0},environ,AT_EMPTY_PATH),"exec"); }'),
    Case("execveat_directory", c='int main(){ int d=must(open("d",O_PATH|O_DIRECTORY),"d"); must(syscall(SYS_execveat,d,"tool",(char*[]){"t",0},environ,0),"exec"); }',
         given={"d/tool!": "#!/bin/sh\necho x > out\nexit 5\n"}, reads=("d/tool",), executed=("d/tool",), writes=("out",), status=5, processes=1),
    Case("memfd", c="""int main(){ int m=memfd_create("prog",MFD_CLOEXEC),f=must(open("/bin/true",O_RDONLY),"t"); must(sendfile(m,f,0,1<<20),"copy"); close(f);
             must(fexecve(m,(char*[]){"t",0},environ),"exec"); }"""),
    Case("exec_by_thread", c="""static void*t(void*x){ execl("/bin/cat","cat","in",(char*)0); return 0; }
             int main(){ pthread_t p; pthread_create(&p,0,t,0); pause(); }""", reads=("in",), processes=1),
    Case("exec_among_threads", c="""static void*t(void*x){ for(;;){ take("in"); } return 0; }
             int main(int n,char**a){ if(n>1){ put("out","x"); return 5; } pthread_t p; for(int i=0;i<4;i++) pthread_create(&p,0,t,0); usleep(20000); execv(a[0],(char*[]){a[0],"again",0}); return 9; }""",
         reads=("in",), writes=("out",), status=5, processes=1),
    Case("copied_program", sh="cp /bin/true mine; ./mine", writes=("mine",), executed=("mine",)),
    Case("exit_codes", sh="(exit 3); sh -c 'kill -9 $$'; exit 4", status=4, processes=3),
    Case("killed", sh="echo x > out; kill -9 $$", writes=("out",), status=137),
    Case("vfork", c='int main(){ pid_t c=vfork(); if(!c){ execl("/bin/cat","cat","in",(char*)0); _exit(9);} return finish(c); }', reads=("in",), processes=2),
    Case("posix_spawn", c='int main(){ pid_t c; must(-posix_spawn(&c,"/bin/cat",0,0,(char*[]){"cat","in",0},environ),"spawn"); return finish(c); }', reads=("in",), processes=2),
    Case("clone3", c="""int main(){ struct clone_args a={.exit_signal=SIGCHLD}; pid_t c=must(syscall(SYS_clone3,&a,sizeof a),"clone3");
             if(!c){ take("in"); _exit(7); } return finish(c); }""", reads=("in",), status=7, processes=2),
    Case("clone_untraced", c="""static int f(void*x){ take("in"); put("out","x"); return 7; } static char st[65536];
             int main(){ pid_t c=must(clone(f,st+65536,CLONE_UNTRACED|SIGCHLD,0),"clone"); return finish(c); }""", reads=("in",), writes=("out",), status=7, processes=2),
    Case("clone3_untraced", c="""int main(){ static const struct clone_args a={.flags=CLONE_UNTRACED,.exit_signal=SIGCHLD}; pid_t c=must(syscall(SYS_clone3,&a,sizeof a),"clone3");
             if(!c){ take("in"); put("out","x"); _exit(7); } if(a.flags!=CLONE_UNTRACED) return 1; return finish(c); }""", reads=("in",), writes=("out",), status=7, processes=2),
    Case("clone_shares_cwd", c="""static int f(void*x){ must(chdir("d"),"d"); return 0; } static char st[65536];
             int main(){ take("in"); pid_t c=must(clone(f,st+65536,CLONE_FS|SIGCHLD,0),"clone"); finish(c); take("in"); }""",
         given={"in": "1", "d/in": "2"}, reads=("in", "d/in")),
    Case("thread_group_exits", c="""static void*t(void*x){ take("in"); exit(6); return 0; } int main(){ pthread_t p; pthread_create(&p,0,t,0); pause(); }""", reads=("in",), status=6, processes=1),
    Case("leader_exits_first", c="""static void*t(void*x){ usleep(50000); take("in"); put("out","x"); exit(6); return 0; }
             int main(){ pthread_t p; pthread_create(&p,0,t,0); pthread_exit(0); }""", reads=("in",), writes=("out",), status=6, processes=1),
    Case("outlives_its_parent", sh="(sleep 0.3; cat in > out) & exit 2", reads=("in",), writes=("out",), status=2, processes=3),
    Case("daemon", c='int main(){ if(fork()) return 3; setsid(); if(fork()) return 0; usleep(100000); take("in"); put("out","x"); }',
         reads=("in",), writes=("out",), status=3, processes=3),
    Case("short_processes", sh="i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done; cat in > out", reads=("in",), writes=("out",), processes=302),
    Case("threads", c="""static void*t(void*x){ char n[32]; for(int i=0;i<200;i++){ sprintf(n,"o%ld",(long)x); put(n,"x"); take("in"); } return 0; }
             int main(){ pthread_t p[8]; for(long i=0;i<8;i++) pthread_create(p+i,0,t,(void*)i); for(int i=0;i<8;i++) pthread_join(p[i],0); }""",
         reads=("in",), writes=tuple(f"o{i}" for i in range(8)), processes=1),
    Case("own_filter", c="""int main(){ struct sock_filter f[]={BPF_STMT(BPF_LD|BPF_W|BPF_ABS,0),BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,SYS_getppid,0,1),
             BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ERRNO|77),BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW)}; struct sock_fprog p={4,f};
             prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0); must(prctl(PR_SET_SECCOMP,2,&p),"filter"); if(syscall(SYS_getppid)!=-1||errno!=77) return 1; take("in"); put("out","x"); }""",
         reads=("in",), writes=("out",)),
    Case("own_filter_refuses_an_open", c="""int main(){ struct sock_filter f[]={BPF_STMT(BPF_LD|BPF_W|BPF_ABS,0),BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,SYS_openat,0,1),
             BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ERRNO|77),BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW)}; struct sock_fprog p={4,f};
             prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0); must(prctl(PR_SET_SECCOMP,2,&p),"filter"); return syscall(SYS_openat,AT_FDCWD,"in",0)==-1&&errno==77?0:1; }"""),
    Case("own_listener", c=LISTENER + """int main(){ return listened() ? 0 : 1; }""", reads=("in",), writes=("out",), blind=("own_listener",)),
    Case("own_listener_in_a_busy_tree", c=LISTENER + """
             static int opens(void){ for(int i=0;i<400;i++){ int f=open(i&1?"in":"d/in",O_RDONLY); if(f<0){ perror("open"); return 1; } close(f); } return 0; }
             static void*thread(void*x){ *(int*)x=opens(); return 0; }
             int main(int n,char**a){ if(n>1) return listened()&&!opens()?0:1;
             pid_t c[2]; for(int i=0;i<2;i++) if(!(c[i]=fork())) _exit(opens()); int failed=0; pthread_t t; pthread_create(&t,0,thread,&failed);
             char*w[]={a[0],"child",0}; pid_t v=vfork(); if(!v){ usleep(3000); execv(a[0],w); _exit(9); }
             pid_t u=fork(); if(!u){ usleep(9000); _exit(opens()); }
             pthread_join(t,0); return failed|finish(v)|finish(c[0])|finish(c[1])|finish(u); }""",
         given={"in": "1", "d/in": "2"}, reads=("in", "d/in"), writes=("out",), blind=("own_listener",)),
    Case("listener_from_the_middle_of_a_vfork", c=LISTENER + """int main(){ pid_t v=vfork(); if(!v) _exit(listened()?5:1); return finish(v); }""",
         status=5, reads=("in",), writes=("out",), blind=("own_listener",)),
    Case("not_dumpable", c='int main(){ must(prctl(PR_SET_DUMPABLE,0,0,0,0),"prctl"); take("in"); must(chdir("d"),"d"); put("out","x"); }',
         given={"in": "1", "d/x": ""}, reads=("in",), writes=("d/out",), root=True),
    Case("dropped_rights", c='int main(){ chmod(".",0777); must(setgid(65534),"gid"); must(setuid(65534),"uid"); take("in"); put("out","x"); }',
         reads=("in",), writes=("out",), root=True),
    Case("killed_while_writing", c="""int main(){ pid_t c=fork(); if(!c){ int f=open("out",O_WRONLY|O_CREAT,0644); char b[65536]={0}; for(;;) { write(f,b,sizeof b); lseek(f,0,0); } }
             usleep(50000); kill(c,SIGKILL); return finish(c)==137?0:1; }""", writes=("out",)),
    Case("killed_while_opening", c="""int main(){ for(int i=0;i<60;i++){ pid_t c=fork(); if(!c) for(;;) { int f=open("in",O_RDONLY); close(f); f=open("out",O_WRONLY|O_CREAT,0644); close(f); if(!fork()) _exit(0); }
             usleep(1000+i*37); kill(c,SIGKILL); finish(c); } }""", reads=("in",), writes=("out",), flags=()),
    Case("interrupted_opens", c="""static volatile int n; static void h(int s){ n++; }
             int main(){ struct sigaction a={.sa_handler=h}; sigaction(SIGALRM,&a,0); struct itimerval v={0};
             for(int i=0;i<2000;i++){ v.it_value.tv_usec=1+i%199; setitimer(ITIMER_REAL,&v,0); int f=open("in",O_RDONLY); if(f<0){ perror("open"); return 1; } close(f); if(i%100==0){ f=open("out",O_WRONLY|O_CREAT,0644); if(f<0){ perror("out"); return 2; } close(f); } } return n>0?0:3; }""",
         reads=("in",), writes=("out",)),
    Case("interrupted_fifo", c="""static void h(int s){} int main(){ struct sigaction a={.sa_handler=h}; sigaction(SIGALRM,&a,0); must(mkfifo("p",0644),"p");
             struct itimerval v={{0,0},{0,100000}}; setitimer(ITIMER_REAL,&v,0); int f=open("p",O_RDONLY); return f<0&&errno==EINTR?0:1; }""", writes=("p",)),
    Case("stopped_and_continued", c="""int main(){ pid_t c=fork(); if(!c){ raise(SIGSTOP); usleep(100000); take("in"); return 8; } int s; must(waitpid(c,&s,WUNTRACED),"w");
             if(!WIFSTOPPED(s)||WSTOPSIG(s)!=SIGSTOP) return 1; kill(c,SIGCONT); must(waitpid(c,&s,WCONTINUED),"w"); if(!WIFCONTINUED(s)) return 2; return finish(c); }""",
         reads=("in",), status=8),
    Case("threads_stopped_and_continued", c="""static void*t(void*x){ for(int i=0;i<200;i++){ take("in"); usleep(1000); } return 0; }
             int main(){ pid_t c=fork(); setpgid(c,c); if(!c){ pthread_t p[3]; for(int i=0;i<3;i++) pthread_create(p+i,0,t,0); for(int i=0;i<3;i++) pthread_join(p[i],0); return 8; }
             for(int i=0;i<5;i++){ int s; usleep(20000); kill(c,i&1?SIGTSTP:SIGSTOP); must(waitpid(c,&s,WUNTRACED),"w"); if(!WIFSTOPPED(s)) return 1;
             kill(c,SIGCONT); must(waitpid(c,&s,WCONTINUED),"w"); if(!WIFCONTINUED(s)) return 2; } return finish(c); }""", reads=("in",), status=8, processes=2),
    Case("child_signals", c="""static volatile int n; static void h(int s,siginfo_t*i,void*u){ if(i->si_code==CLD_EXITED&&i->si_status==5) n++; }
             int main(){ struct sigaction a={.sa_sigaction=h,.sa_flags=SA_SIGINFO|SA_NOCLDSTOP}; sigaction(SIGCHLD,&a,0); for(int i=0;i<20;i++){ pid_t c=fork(); if(!c) _exit(5); while(waitpid(c,0,0)<0&&errno==EINTR); }
             printf("%d\\n",n); return waitpid(-1,0,0)==-1&&errno==ECHILD?0:1; }"""),
    Case("epoll_is_not_interrupted", py="import select,subprocess,time\ne=select.epoll()\np=subprocess.Popen(['sleep','0.1'])\nt=time.time()\ne.poll(0.4)\nprint(time.time()-t>=0.39)\np.wait()"),
    Case("waits_are_not_interrupted", c="""#include <sys/epoll.h>
#include <sys/sem.h>
             int main(){ int e=epoll_create1(0); struct epoll_event v; if(!fork()){ usleep(50000); _exit(0); } if(epoll_wait(e,&v,1,300)!=0){ perror("epoll_wait"); return 1; }
             if(!fork()){ usleep(50000); _exit(0); } struct timespec t={0,300000000}; if(nanosleep(&t,0)) return 2;
             if(!fork()){ usleep(50000); _exit(0); } if(select(0,0,0,0,&(struct timeval){0,300000})) return 3;
             int s=semget(IPC_PRIVATE,1,0600); struct sembuf o={0,-1,0}; struct timespec w={0,300000000}; if(!fork()){ usleep(50000); _exit(0); }
             if(semtimedop(s,&o,1,&w)!=-1||errno!=EAGAIN){ perror("semtimedop"); return 4; } semctl(s,0,IPC_RMID); return 0; }"""),
    Case("connect", py="import socket\nfor a in [('127.0.0.1',9)]:\n s=socket.socket()\n try: s.connect(a)\n except OSError: pass\ns=socket.socket(socket.AF_UNIX)\ntry: s.connect('/none/here')\nexcept OSError: pass",
         connects=(("127.0.0.1", 9),)),
    Case("io_uring", c='int main(){ char p[256]={0}; syscall(425,8,p); }', blind=("io_uring",)),
    Case("inner_ptrace", c='int main(){ pid_t c=fork(); if(!c){ ptrace(PTRACE_TRACEME,0,0,0); take("in"); return 4; } return finish(c); }',
         reads=("in",), blind=("inner_ptrace",), status=4),
    Case("closed_standard_descriptors", sh="exec <&- >&-; cat in > out", reads=("in",), writes=("out",)),
]  # fmt: skip

ALL = [*OPENS, *EFFECTS, *NAMES, *PROGRAMS]

SENDER = """static void h(int s, siginfo_t *i, void *c) { printf("%d\\n", i->si_pid); fflush(stdout); _exit(0); }
int main() { struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO}; sigaction(SIGTERM, &a, 0);
puts("ready"); fflush(stdout); for (;;) pause(); }"""
"""Says who sent it SIGTERM."""

CONTAINER = """int main(int n,char**a){ int refused[]={SYS_pidfd_getfd,SYS_process_madvise,SYS_kcmp,SYS_mount,SYS_umount2,SYS_unshare,
    SYS_setns,SYS_bpf,SYS_perf_event_open,SYS_open_by_handle_at,SYS_keyctl,SYS_userfaultfd,425,SYS_clone3};
    struct sock_filter f[64]={BPF_STMT(BPF_LD|BPF_W|BPF_ABS,0)}; int c=1; for(int i=0;i<14;i++){
    f[c++]=(struct sock_filter)BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,refused[i],0,1);
    f[c++]=(struct sock_filter)BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ERRNO|(refused[i]==SYS_clone3?ENOSYS:EPERM)); }
    f[c++]=(struct sock_filter)BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW); struct sock_fprog p={c,f};
    must(prctl(PR_SET_SECCOMP,2,&p),"filter"); must(setgid(65534),"gid"); must(setuid(65534),"uid"); execv(a[1],a+1); return 99; }"""
"""Becomes a program without rights, under what Docker's default profile refuses those who lack them."""

CLOSED = 'int main(){ prctl(PR_SET_DUMPABLE,0,0,0,0); open("x",0); }'
"""Nobody may look into it."""

OTHERS = [SENDER, CONTAINER, CLOSED]
"""Programs of other tests."""
